"""The options that say how many workers run where."""

import argparse
from typing import TYPE_CHECKING

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.script import user_path
from nnunet_tf.commands.parser import CommandParser
from nnunet_tf.commands.types import positive_int

if TYPE_CHECKING:
    from nnunet_tf.launch.horovod.workers import Launch
    from nnunet_tf.launch.hosts import Host

WAIT_SECONDS = 600  # for machines to come, where a script may find some
WAIT_SECONDS_ALONE = 10
OF_STARTING = ("elastic", "hosts", "host_discovery", "ssh_port", "ssh_key", "min_workers", "max_workers")
ONLY_ELASTIC = ("min_workers", "max_workers", "host_discovery")


def add_launch_options(parser: CommandParser) -> None:
    """Adds `--gpus` and what goes with it."""
    group = parser.add_argument_group("several GPUs and machines")
    add = group.add_argument
    add(
        "--gpus",
        type=positive_int,
        help="workers, one a GPU; with --device cpu, processes on the CPU; else those of --hosts, or 1",
    )
    add(
        "--hosts",
        type=_host_list,
        metavar="A:8,B:8",
        help="machines that ssh leads to, and how many workers each takes",
    )
    add("--ssh-port", type=positive_int, help="of those machines; else as ssh is set up")
    add("--ssh-key", type=user_path, metavar="FILE", help="private key for them; else as ssh is set up")
    add(
        "--network-interface",
        metavar="NAME",
        help="that workers talk over, such as ib0; else one that all have",
    )
    add("--bind", action="store_true", help="give each worker processor cores of its own")
    add("--elastic", action="store_true", help="go on when workers are lost, and take in those that come")
    add("--min-workers", type=positive_int, help="with --elastic: go on with no fewer; else 1")
    add("--max-workers", type=positive_int, help="with --elastic: go on with no more; else as many as there are")
    add(
        "--host-discovery",
        type=user_path,
        metavar="SCRIPT",
        help="with --elastic: a command that prints the machines there are at the moment, a line such as a:8 each",
    )


def set_workers(options: argparse.Namespace) -> None:
    """Puts the number of workers into `options.gpus`, where it was left open; raises UserError where it cannot be."""
    from nnunet_tf.launch.hosts import all_here, check_own_name
    from nnunet_tf.launch.ranks import given_workers, other_launcher

    other = other_launcher()
    for name in OF_STARTING:
        if other and getattr(options, name):
            raise UserError(
                f"--{name.replace('_', '-')}: is for workers that train.py starts itself; {other.launcher} has started "
                "these; leave it out, or start train.py once"
            )
    given = given_workers()
    if given > 1 and not options.elastic:
        if options.gpus not in (None, given):
            raise UserError(f"--gpus {options.gpus}: the launcher started {given} workers; leave --gpus out")
        options.gpus = given
    if given > 1 and options.hosts:
        check_own_name(alone=all_here(options.hosts))
    if options.gpus is None:
        options.gpus = sum(host.slots for host in options.hosts or ()) or 1


def workers_to_start(options: argparse.Namespace) -> "Launch | None":
    """Returns how many workers this process is to start, and where; None where it does the work itself.

    Raises UserError where options contradict each other or a file that they name is not there.
    """
    from nnunet_tf.launch.horovod.workers import Connection, Elastic, Launch
    from nnunet_tf.launch.ranks import started_by_launcher

    if started_by_launcher():
        return None
    _check_elastic(options)
    if options.gpus == 1 and not options.elastic and not options.hosts:
        return None
    key = options.ssh_key and options.ssh_key.resolve()
    if key and not key.is_file():
        raise UserError(f"--ssh-key {options.ssh_key}: no such file; give the private key that leads to --hosts")
    elastic = Elastic(
        min_workers=options.min_workers or 1,
        max_workers=options.max_workers,
        discovery=options.host_discovery,
        wait_seconds=WAIT_SECONDS if options.host_discovery else WAIT_SECONDS_ALONE,
    )
    return Launch(
        workers=options.gpus,
        hosts=options.hosts or (),
        connection=Connection(ssh_port=options.ssh_port, ssh_key=key, network_interface=options.network_interface),
        elastic=elastic if options.elastic else None,
    )


def _host_list(text: str) -> "tuple[Host, ...]":
    from nnunet_tf.launch.hosts import parse_hosts

    return parse_hosts(text)


def _check_elastic(options: argparse.Namespace) -> None:
    for name in ONLY_ELASTIC:
        if getattr(options, name) and not options.elastic:
            raise UserError(f"--{name.replace('_', '-')}: means nothing without --elastic; give both or neither")
    if options.host_discovery and options.hosts:
        raise UserError("--host-discovery: says which machines there are, as --hosts does; give one of them")
    start = f"than the {options.gpus} workers that training starts with; change it or --gpus"
    if options.min_workers and options.min_workers > options.gpus:
        raise UserError(f"--min-workers {options.min_workers}: is more {start}")
    if options.max_workers and options.max_workers < options.gpus:
        raise UserError(f"--max-workers {options.max_workers}: is fewer {start}")
