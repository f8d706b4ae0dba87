"""The machines that workers run on, as `--hosts a:8,b:8` names them."""

import argparse
import re
import socket
from collections.abc import Sequence

import psutil
from pydantic import PositiveInt

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.task import Strict

HOST = re.compile(r"([\w.-]+):([1-9]\d*)")
THIS_MACHINE = "localhost"
LOOPBACK = "127."


class Host(Strict, frozen=True):
    """A machine, and how many workers it takes: one for each of its GPUs."""

    name: str
    slots: PositiveInt

    def __str__(self) -> str:
        """As Horovod's launcher takes it."""
        return f"{self.name}:{self.slots}"


def parse_hosts(text: str) -> tuple[Host, ...]:
    """Returns the machines of a list such as `a:8,b:8`; raises ArgumentTypeError where it is none."""
    hosts = []
    for word in text.split(","):
        match = HOST.fullmatch(word.strip())
        if not match:
            raise argparse.ArgumentTypeError(f"{word!r} is not a machine and its workers, such as a:8 in a:8,b:8")
        hosts.append(Host(name=match[1], slots=int(match[2])))
    names = [host.name for host in hosts]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(twice))} is named twice; give each machine once")
    return tuple(hosts)


def fill(hosts: Sequence[Host], workers: int) -> tuple[Host, ...]:
    """Returns the machines that `workers` workers fill, in order, with as many slots as are used.

    Raises UserError when there are too few slots.
    """
    slots = sum(host.slots for host in hosts)
    if workers > slots:
        raise UserError(f"--gpus {workers}: --hosts has {slots} slots; give more of them, or --gpus {slots} or less")
    filled, left = [], workers
    for host in hosts:
        if left:
            filled.append(Host(name=host.name, slots=min(host.slots, left)))
            left -= filled[-1].slots
    return tuple(filled)


def is_here(name: str) -> bool:
    """Returns whether `name` leads to this machine; a name that leads nowhere does not."""
    try:
        address = socket.gethostbyname(name)
    except OSError:
        return False
    interfaces = psutil.net_if_addrs().values()
    return any(each.address == address for some in interfaces for each in some if each.family == socket.AF_INET)


def all_here(hosts: Sequence[Host]) -> bool:
    """Returns whether no other machine is among `hosts`."""
    return all(is_here(host.name) for host in hosts)


def check_own_name(alone: bool) -> None:
    """Raises UserError where the machine's own name leads nowhere: Horovod crashes there without a word.

    Where this machine is not `alone`, it must lead to an address that others can reach: whichever interface is asked
    for, Horovod has them connect to that one too.
    """
    name = socket.gethostname()
    try:
        address = socket.gethostbyname(name)
    except OSError:
        raise UserError(f"this machine's own name, {name}, leads nowhere; add it to /etc/hosts") from None
    if address.startswith(LOOPBACK) and not alone:
        raise UserError(
            f"{name}, this machine's own name, leads to {address}, where no other machine reaches it; give it its "
            "address in the network in /etc/hosts"
        )
