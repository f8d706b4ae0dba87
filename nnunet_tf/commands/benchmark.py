"""Throughput, latency and memory of a training step or of prediction, and how near that is to what the machine can."""

import argparse
import sys
from typing import TYPE_CHECKING

from data_preprocessing.common.machine import available_cores
from data_preprocessing.common.script import user_path
from nnunet_tf.commands.options.benchmark import CHANNELS, CLASSES, add_benchmark_options
from nnunet_tf.commands.parser import CommandParser
from nnunet_tf.runtime.stopping import stop_in_order

if TYPE_CHECKING:
    from data_preprocessing.planning.plan import Plan
    from nnunet_tf.benchmark.report import Report
    from nnunet_tf.benchmark.subject import ShardFolder

STANDARD_OUTPUT = "-"


def add_options(parser: CommandParser) -> None:
    """Adds the options of the command."""
    parser.add_task()
    parser.add_folder("shards", "shards, as preprocess.py wrote them")
    parser.add_device()
    add_benchmark_options(parser)


def run(options: argparse.Namespace, parser: CommandParser) -> None:
    """Measures, with several workers if asked for, and prints the report."""
    if options.data == "shards" and (options.channels or options.classes):
        parser.error("--channels and --classes are of synthetic data; shards have their own")

    stop_in_order()
    from nnunet_tf.runtime.dimensions import set_dim

    set_dim(options)
    plan, folder = find_subject(options)
    other = _read_other(options)
    _check_writable(options)
    report = measure(options, plan, folder)
    if report:
        _show(report, other, options.json)


def find_subject(options: argparse.Namespace) -> tuple["Plan", "ShardFolder | None"]:
    """Returns the plan to measure and, where real data are asked for, their shards; raises UserError where none fit."""
    from data_preprocessing.common.task import load_task
    from nnunet_tf.benchmark.subject import open_shard_folder, resized, synthetic_plan

    config = load_task(options.task)
    if options.data == "shards":
        folder = open_shard_folder(options.shards, config, options.task, options.dim)
        return resized(folder.plan, options.patch_size, options.features), folder
    plan = synthetic_plan(config, options.dim, options.channels or CHANNELS, options.classes or CLASSES)
    return resized(plan, options.patch_size, options.features), None


def measure(options: argparse.Namespace, plan: "Plan", folder: "ShardFolder | None") -> "Report | None":
    """Returns the report in the process that is to show it, rank 0; None in the others and in the one that starts them.

    Raises UserError where the machine has not what is asked for.
    """
    from nnunet_tf.launch.horovod.workers import Launch, check_devices, start
    from nnunet_tf.launch.ranks import local_rank, refuse_other_launcher, started_by_launcher

    refuse_other_launcher()
    if options.gpus > 1 and not started_by_launcher():
        launch = Launch(workers=options.gpus)
        check_devices(launch, options.device)
        start(launch, sys.argv)
        return None
    from nnunet_tf.runtime.device import show_notices, start_tensorflow

    threads = max(1, available_cores() // options.gpus)
    runtime = start_tensorflow(options.device, options.amp, local_rank(), threads, options.xla)
    from nnunet_tf.benchmark.run import run_benchmark
    from nnunet_tf.commands.options.benchmark import benchmark_settings
    from nnunet_tf.training.distributed import agree_on_precision, join_group

    group = join_group()
    runtime = agree_on_precision(group, runtime)
    show_notices(runtime, group.rank)
    settings = benchmark_settings(options, plan, runtime)
    report = run_benchmark(settings, plan, folder, group, threads, options.roofline)
    return report if group.rank == 0 else None


def _read_other(options: argparse.Namespace) -> "Report | None":
    """The report to compare with, read first: a mistake shows before anything is measured."""
    from nnunet_tf.benchmark.report import last_of_kind

    return last_of_kind(options.compare, options.mode, options.dim) if options.compare else None


def _check_writable(options: argparse.Namespace) -> None:
    if options.json and options.json != STANDARD_OUTPUT:
        from nnunet_tf.benchmark.report import check_appendable

        check_appendable(user_path(options.json))


def _show(report: "Report", other: "Report | None", json: str | None) -> None:
    from nnunet_tf.benchmark.report import append_report
    from nnunet_tf.benchmark.tables import print_comparison, print_report
    from nnunet_tf.runtime.console import wide_console

    prints_json = json == STANDARD_OUTPUT  # and nothing else there
    if json and not prints_json:
        append_report(user_path(json), report)
    console = wide_console(stderr=prints_json)
    print_report(console, report)
    if other:
        print_comparison(console, report, other)
    if prints_json:
        print(report.model_dump_json())
