"""Training images of a task to shards, which training reads."""

import argparse
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from data_preprocessing.common.script import program, user_path
from data_preprocessing.common.text import counted
from nnunet_tf.commands.options.source import add_source_options, data_folder, dataset_name, fill_in, load_fingerprint
from nnunet_tf.commands.options.splits import add_splits, splits_of_dataset
from nnunet_tf.commands.parser import CommandParser

if TYPE_CHECKING:
    from data_preprocessing.common.task import TaskConfig
    from data_preprocessing.dataset.dataset import Dataset
    from data_preprocessing.jobs.backend import Backend
    from data_preprocessing.planning.plan import Plan
    from data_preprocessing.shards.pipeline import Summary


@dataclass(frozen=True)
class Made:
    """What came of preprocessing: the cases, their plan, what of it the data set has told, and how many were drawn."""

    summary: "Summary"
    plan: "Plan"
    collected: list[str]
    drawn: int


def add_options(parser: CommandParser) -> None:
    """Adds the options of the command."""
    add_source_options(parser)
    add_shard_options(parser)


def add_shard_options(parser: CommandParser) -> None:
    """Adds what the shards are like."""
    parser.add_argument(
        "--shard-dtype", choices=("float32", "float16"), default="float32", help="float16: half the size"
    )
    parser.add_argument(
        "--report", type=user_path, metavar="PNG", help="also draw a slice of every case with its label"
    )
    add_splits(parser)


def run(options: argparse.Namespace, parser: CommandParser) -> None:
    """Checks the data set, makes the shards, and prints what came of it."""
    from data_preprocessing.shards.report import summary_table
    from nnunet_tf.commands.verify import check
    from nnunet_tf.runtime.backend import chosen_backend
    from nnunet_tf.runtime.console import print_whole

    fill_in(options, parser)
    backend = chosen_backend(options)
    check(options, dataset_name(options), backend)
    made = make_shards(options, backend)
    if made.collected:
        _print_collected(made.plan, made.collected)
    if made.summary.failures:
        _end_where_failed(made.summary)
    print_whole(summary_table(made.summary, made.plan))
    if options.report:
        print(f"{counted(made.drawn, 'case')} drawn in {options.report}")


def make_shards(options: argparse.Namespace, backend: "Backend") -> Made:
    """Returns what was made of the training cases, the failed ones in it too; draws `--report`."""
    from data_preprocessing.common.errors import UserError
    from data_preprocessing.common.inputs_kept import Inputs
    from data_preprocessing.common.task import load_task
    from data_preprocessing.dataset.open_dataset import open_dataset
    from data_preprocessing.planning.plan import folder_name
    from data_preprocessing.shards.pipeline import preprocess
    from data_preprocessing.shards.report import save_sheet
    from nnunet_tf.runtime.progress import track

    config = load_task(options.task)
    dataset = open_dataset(data_folder(options), dataset_name(options))
    if dataset.folder.name != config.dataset:
        raise UserError(
            f"{dataset.folder}: the config of task {config.task} is for {config.dataset}; choose with --task"
        )
    folder = options.shards / folder_name(config.task, options.dim)
    files = [file for case in dataset.training for file in case.files]
    inputs = Inputs([dataset.folder / "dataset.json", user_path(options.task), *files])
    inputs.refuse_folder("--shards", folder, "holds the data set itself, whose files would be removed")
    if options.report:
        inputs.refuse_file("--report", options.report)
        reason = "holds images of the data set, and pictures count as images"
        Inputs(files).refuse_folder("--report", options.report.parent, reason)
    plan, collected = _make_plan(options, config, dataset, backend)
    splits = splits_of_dataset(options, dataset, _warn)
    with track(f"Preprocessing {config.dataset}", total=len(dataset.training), unit="cases") as tracker:
        summary = preprocess(
            config,
            dataset,
            plan,
            folder,
            backend,
            options.shard_dtype,
            options.trust_grid,
            tracker.update,
            _warn,
            splits,
        )
    draws = options.report and not summary.failures
    drawn = save_sheet(options.report, folder, [record.name for record in summary.records]) if draws else 0
    return Made(summary, plan, collected, drawn)


def _end_where_failed(summary: "Summary") -> NoReturn:
    for failure in summary.failures:
        print(f"{failure.name}: {failure.failure}", file=sys.stderr)
    cases = len(summary.failures) + len(summary.records)
    print(
        f"{program()}: {len(summary.failures)} of {counted(cases, 'case')} failed, see above; "
        "the others are kept: mend these and run it again",
        file=sys.stderr,
    )
    sys.exit(2 if all(failure.user_error for failure in summary.failures) else 1)


def _make_plan(
    options: argparse.Namespace, config: "TaskConfig", dataset: "Dataset", backend: "Backend"
) -> "tuple[Plan, list[str]]":
    """The plan, and what of it was collected from the data set, as the config leaves it null."""
    from data_preprocessing.planning.plan import make_plan, needs_fingerprint

    missing = needs_fingerprint(config, dataset, options.dim)
    fingerprint = load_fingerprint(options, dataset, config.task, backend) if missing else None
    return make_plan(config, dataset, options.dim, fingerprint), missing


def _print_collected(plan: "Plan", collected: list[str]) -> None:
    print(f"Collected from the data set, as the config leaves {', '.join(collected)} open:")
    for name, value in (
        ("spacing", [round(mm, 4) for mm in plan.spacing]),
        ("patch size", list(plan.patch_size)),
        ("normalization", [each.model_dump(exclude_none=True) for each in plan.normalization]),
        ("nonzero mask", plan.nonzero_mask),
    ):
        print(f"  {name}: {value}")


def _warn(message: str) -> None:
    print(f"{program()}: {message}", file=sys.stderr)
