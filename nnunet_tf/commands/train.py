"""Training shards of a task to a model folder."""

import argparse
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from data_preprocessing.common.machine import available_cores
from data_preprocessing.common.script import other_command, program
from data_preprocessing.common.text import counted
from nnunet_tf.commands.options.launch import add_launch_options, set_workers, workers_to_start
from nnunet_tf.commands.options.splits import add_splits
from nnunet_tf.commands.options.training import add_training_options, training_settings
from nnunet_tf.commands.parser import CommandParser
from nnunet_tf.runtime.stopping import stop_in_order

if TYPE_CHECKING:
    from nnunet_tf.launch.horovod.workers import Launch
    from nnunet_tf.training.config.settings import Job


def add_options(parser: CommandParser) -> None:
    """Adds the options of the command."""
    parser.add_task()
    parser.add_fold("all: learn from every case, validate on none")
    parser.add_folds()
    parser.add_argument(
        "--cross-validate",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="train all folds in turn and print mean and deviation",
    )
    add_splits(parser)
    parser.add_folder("shards", "shards, as preprocess.py wrote them")
    parser.add_folder("results", "models, written to results/task04_3d/fold_0")
    parser.add_device()
    add_launch_options(parser)
    add_training_options(parser)


def run(options: argparse.Namespace, parser: CommandParser) -> None:
    """Trains one fold, with several workers if asked for, or all folds in turn; prints the Dice."""
    stop_in_order()
    options.command = sys.argv
    train_model(options, show=True)


def train_model(options: argparse.Namespace, show: bool = False) -> "Job":
    """Returns what was trained: one fold, or the first of all folds; with `show` tables are printed.

    `options.command` is what starts the same training in another process.
    """
    from nnunet_tf.runtime.dimensions import set_dim

    set_dim(options)
    set_workers(options)
    launch = workers_to_start(options)
    job = make_job(options)
    with _kept(job, options):
        if options.cross_validate:
            _cross_validate(job, options, show)
        else:
            _train(job, options, launch, show)
    return job


def _train(job: "Job", options: argparse.Namespace, launch: "Launch | None", show: bool) -> None:
    from data_preprocessing.common.files import new_folder
    from nnunet_tf.data.requirements import check_dali
    from nnunet_tf.launch.horovod.workers import check_devices, start

    check_dali()
    if launch:
        check_devices(launch, options.device)
    with new_folder(job.folder):
        if launch:
            start(launch, options.command)
        else:
            _train_here(job, options, show)


def _train_here(job: "Job", options: argparse.Namespace, show: bool) -> None:
    from nnunet_tf.launch.binding import bind
    from nnunet_tf.launch.mpi.machine_share import take_share
    from nnunet_tf.launch.ranks import other_launcher

    other = other_launcher()
    share = take_share(job.folder, options.network_interface)
    threads = max(1, available_cores() // share.core_shares)
    if options.bind:
        threads = bind(share.core_share, share.core_shares)
    from nnunet_tf.runtime.device import show_notices, start_tensorflow
    from nnunet_tf.training.config.resume import earlier_settings

    earlier = earlier_settings(job) if options.resume else None
    precision = earlier.precision if earlier else None
    runtime = start_tensorflow(options.device, options.amp, share.gpu, threads, options.xla, precision)
    from nnunet_tf.evaluation.reports.tables import print_validation
    from nnunet_tf.training.distributed import agree_on_precision, check_same_device, join_group, loss_in_one_line
    from nnunet_tf.training.loop.run import train

    group = join_group(options.fp16_allreduce)
    with loss_in_one_line(group.rank) if other else nullcontext():  # what starts workers itself tells who ended first
        if not options.elastic:  # whose workers say nothing to each other before they have the same state
            check_same_device(group, runtime.gpu)
            runtime = agree_on_precision(group, runtime)
        show_notices(runtime, group.rank)
        source = earlier.pretrained if earlier else options.pretrained
        known = {"precision": runtime.precision, "pretrained": source}
        job = replace(job, settings=job.settings.model_copy(update=known))
        summary = train(job, group, runtime, options.resume, threads)
    if group.rank == 0 and show:
        if summary:
            print_validation(f"Validation Dice of {counted(len(summary.cases), 'case')}", summary)
        print(f"Model in {job.folder}")


def _cross_validate(job: "Job", options: argparse.Namespace, show: bool) -> None:
    from nnunet_tf.evaluation.reports.tables import print_folds
    from nnunet_tf.launch.ranks import rank
    from nnunet_tf.training.loop.cross_validation import cross_validate

    result = cross_validate(job, options.command, options.resume, leads=rank() == 0)
    if result is not None and show:
        print_folds(f"Cross-validation of {job.plan.name}", result)


@contextmanager
def _kept(job: "Job", options: argparse.Namespace) -> Iterator[None]:
    """Where the user stops the run, says what is kept of it."""
    from data_preprocessing.common.files import time_written
    from nnunet_tf.launch.ranks import other_launcher, rank, started_by_launcher
    from nnunet_tf.training.config.settings import CHECKPOINT_NAME

    # Where train.py has started the workers itself, it is not one of them and says so.
    silent = rank() > 0 if other_launcher() else started_by_launcher()
    checkpoint = job.folder / CHECKPOINT_NAME
    before = time_written(checkpoint)
    try:
        yield
    except KeyboardInterrupt as stopped:
        if silent:
            raise
        if options.cross_validate:
            kept = "what the folds have finished is kept, go on with --cross-validate --resume"
        elif time_written(checkpoint) != before or (before and options.resume):
            kept = f"{job.folder} keeps the last finished epoch, go on with --resume"
        else:
            kept = "no epoch was finished" + (f"; {job.folder} keeps the older run" if before else "")
        raise type(stopped)(f"{program()}: stopped; {kept}") from None


def make_job(options: argparse.Namespace) -> "Job":
    """Returns what the command line asks for; raises UserError when the shards or the run to resume do not fit."""
    from data_preprocessing.common.errors import UserError
    from data_preprocessing.common.task import load_task
    from data_preprocessing.planning.plan import folder_name
    from data_preprocessing.shards.format import check_config, open_shards
    from nnunet_tf.commands.options.splits import stated_folds
    from nnunet_tf.data.folds import split
    from nnunet_tf.inference.models.folder import model_folder
    from nnunet_tf.launch.ranks import joins_elastic_run
    from nnunet_tf.training.config.existing_model import check_model_folder
    from nnunet_tf.training.config.settings import Job
    from nnunet_tf.training.loop.cross_validation import check_folds, jobs_of_folds

    if options.resume and options.overwrite:
        raise UserError("--overwrite: starts over, and --resume goes on; leave one of them out")
    config = load_task(options.task)
    name = folder_name(config.task, options.dim)
    shards = options.shards / name
    command = [*other_command("preprocess"), "--task", options.task, "--dim", str(options.dim)]
    remedy = f"run: {shlex.join([*command, '--shards', str(options.shards)])}"
    other = folder_name(config.task, 2 if options.dim == 3 else 3)
    if not shards.exists() and (options.shards / other).is_dir():
        remedy = f"use --dim {other[-2]}, whose shards are there, or {remedy}"
    plan, manifest = open_shards(shards, remedy)
    check_config(shards, manifest, config, remedy)
    folder = model_folder(options.results, name, options.fold)
    stated = stated_folds(options, manifest, shards)
    fold = split(manifest.cases, options.fold, options.nfolds, manifest.groups, stated)
    job = Job(shards, folder, plan, fold, training_settings(options, config), manifest.case_checksums())
    if options.cross_validate:
        check_folds(jobs_of_folds(job, manifest.cases, manifest.groups, stated), options.resume, options.overwrite)
    else:
        # An elastic run takes in workers when its model folder has filled already.
        check_model_folder(job, options.resume, options.overwrite or joins_elastic_run())
    return job
