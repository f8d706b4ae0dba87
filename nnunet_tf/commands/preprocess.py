"""Images of a task to training shards; or checks a data set (--verify), or writes its config (--plan)."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from data_preprocessing.common.defaults import Encoder
from data_preprocessing.common.script import user_path
from data_preprocessing.common.text import counted
from nnunet_tf.runtime.command_line import CommandParser, positive_float, run

if TYPE_CHECKING:
    from data_preprocessing.common.task import TaskConfig
    from data_preprocessing.dataset.dataset import Dataset
    from data_preprocessing.images.checks.finding import Finding
    from data_preprocessing.jobs.backend import Backend
    from data_preprocessing.planning.fingerprint import Fingerprint
    from data_preprocessing.planning.plan import Plan


def main() -> None:
    """Parses the command line and does one of the three."""
    parser = CommandParser(description=__doc__)
    parser.add_task()
    parser.add_folds()
    parser.add_folder("data", "data sets, such as data/Task04_Hippocampus")
    parser.add_folder("shards", "shards, written to shards/task04_3d")
    parser.add_jobs()
    parser.add_backend()
    parser.add_argument(
        "--shard-dtype", choices=("float32", "float16"), default="float32", help="float16: half the size"
    )
    parser.add_argument(
        "--report", type=user_path, metavar="PNG", help="also draw a slice of every case with its label"
    )
    parser.add_argument(
        "--trust-grid", action="store_true", help="accept labels of another origin or spacing than their image"
    )
    parser.add_argument("--verify", action="store_true", help="check the data set and stop")
    parser.add_argument("--json", action="store_true", help="with --verify: print the findings as JSON")
    parser.add_argument("--plan", action="store_true", help="write a config for the data set folder --task and stop")
    parser.add_argument("--gpu-memory", type=positive_float, default=8.0, metavar="GB", help="with --plan: to fit into")
    parser.add_argument(
        "--encoder", choices=get_args(Encoder), default="plain", help="with --plan: of the network to size patches for"
    )
    parser.add_argument(
        "--from-nnunet", type=user_path, metavar="DIR", help="an nnU-Net v2 raw folder, instead of --data"
    )
    options = parser.parse_args()
    parser.check_backend(options)
    if options.from_nnunet and options.from_nnunet.name in ("", ".."):  # such as `.`, where its name is needed
        options.from_nnunet = options.from_nnunet.resolve()
    if options.json and not options.verify:
        parser.error("--json belongs to --verify")
    if options.plan and options.verify:
        parser.error("--plan checks the data set by itself; leave out --verify")
    if not options.plan:
        parser.refuse_given(("encoder", "gpu_memory"), "belongs to --plan")
    if options.from_nnunet and not options.plan and options.task == parser.get_default("task"):
        from data_preprocessing.planning.planner import task_number

        options.task = task_number(options.from_nnunet.name)
    if not options.plan and not (options.verify and options.from_nnunet):  # which may have no config yet
        from nnunet_tf.runtime.dimensions import set_dim

        set_dim(options)
    from nnunet_tf.runtime.backend import chosen_backend

    backend = chosen_backend(options)
    if options.plan:
        plan_task(options, backend)
    elif check(options, _dataset_name(options), backend) and not options.verify:
        preprocess_task(options, backend)


def check(options: argparse.Namespace, name: str, backend: "Backend") -> bool:
    """Says what is wrong with the data set, one problem in a line, several in a table; returns True if it can be used.

    Raises UserError if it cannot.
    """
    from data_preprocessing.common.errors import UserError
    from data_preprocessing.dataset.verify import check_dataset
    from data_preprocessing.dataset.verify_report import findings_json, findings_table
    from data_preprocessing.images.checks.finding import Unusable, worst_first
    from nnunet_tf.runtime.console import wide_console
    from nnunet_tf.runtime.progress import track

    with track(f"Checking {name}", total=None, unit="cases") as tracker:
        findings = check_dataset(
            name,
            options.dim,
            _data(options),
            backend,
            options.trust_grid,
            options.nfolds,
            tracker.update,
            read=options.verify,
        )
    if options.verify and not (options.from_nnunet or any(finding.level == "error" for finding in findings)):
        findings = worst_first([*findings, *_check_config(options, backend)])
    errors = [finding for finding in findings if finding.level == "error"]
    if options.json:
        print(findings_json(findings))
    elif len(errors) == len(findings) == 1 and not options.verify:
        raise Unusable(errors[0])
    elif findings or options.verify:
        wide_console(stderr=not options.verify).print(findings_table(findings))
    if errors:
        raise UserError(f"{name}: {counted(len(errors), 'error')}, see above; correct them")
    return True


def _check_config(options: argparse.Namespace, backend: "Backend") -> "list[Finding]":
    """What keeps the config from being used for the data set, as making the plan tells it; nothing is written."""
    from data_preprocessing.common.errors import UserError
    from data_preprocessing.common.task import load_task
    from data_preprocessing.dataset.open_dataset import open_dataset
    from data_preprocessing.dataset.verify_reading import finding_of
    from data_preprocessing.planning.plan import make_plan, needs_fingerprint

    config = load_task(options.task)
    dataset = open_dataset(_data(options), config.dataset)
    try:
        missing = needs_fingerprint(config, dataset, options.dim)
        fingerprint = _fingerprint(options, dataset, config.task, backend, keep=False) if missing else None
        make_plan(config, dataset, options.dim, fingerprint)
    except UserError as refusal:
        return [finding_of(refusal)]
    return []


def plan_task(options: argparse.Namespace, backend: "Backend") -> None:
    """Writes `configs/taskNN.yaml` for a data set nobody configured."""
    from data_preprocessing.common.task import CONFIG_FOLDER
    from data_preprocessing.dataset.open_dataset import open_dataset
    from data_preprocessing.planning.config_writer import refuse_existing, write_config
    from data_preprocessing.planning.planner import plan_config, task_number

    name = options.from_nnunet.name if options.from_nnunet else options.task
    number = task_number(name)
    path = CONFIG_FOLDER / f"task{number}.yaml"
    refuse_existing(path)
    check(options, name, backend)
    dataset = open_dataset(_data(options), name)
    fingerprint = _fingerprint(options, dataset, number, backend)
    planned = plan_config(dataset, fingerprint, number, options.gpu_memory, options.encoder)
    write_config(path, planned)
    command = shlex.join(["python", "preprocess.py", "--task", number, "--data", str(_data(options))])
    print(f"{path} written; next: {command}; then: {planned.training_command}")


def preprocess_task(options: argparse.Namespace, backend: "Backend") -> None:
    """Makes the shards of one task and says what came of it; exits with status 1 when cases failed."""
    from data_preprocessing.common.errors import UserError
    from data_preprocessing.common.inputs_kept import Inputs
    from data_preprocessing.common.task import load_task
    from data_preprocessing.dataset.open_dataset import open_dataset
    from data_preprocessing.planning.plan import folder_name
    from data_preprocessing.shards.pipeline import preprocess
    from data_preprocessing.shards.report import save_sheet, summary_table
    from nnunet_tf.runtime.console import wide_console
    from nnunet_tf.runtime.progress import track

    config = load_task(options.task)
    dataset = open_dataset(_data(options), _dataset_name(options))
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
    plan = _plan(options, config, dataset, backend)
    with track(f"Preprocessing {config.dataset}", total=len(dataset.training), unit="cases") as tracker:
        summary = preprocess(
            config, dataset, plan, folder, backend, options.shard_dtype, options.trust_grid, tracker.update, _warn
        )
    if summary.failures:
        for failure in summary.failures:
            print(f"{failure.name}: {failure.failure}", file=sys.stderr)
        print(
            f"preprocess.py: {len(summary.failures)} of {counted(len(dataset.training), 'case')} failed, see above; "
            "the others are kept: mend these and run it again",
            file=sys.stderr,
        )
        sys.exit(2 if all(failure.user_error for failure in summary.failures) else 1)
    drawn = save_sheet(options.report, folder, [record.name for record in summary.records]) if options.report else 0
    wide_console().print(summary_table(summary, plan))
    if options.report:
        print(f"{counted(drawn, 'case')} drawn in {options.report}")


def _plan(options: argparse.Namespace, config: "TaskConfig", dataset: "Dataset", backend: "Backend") -> "Plan":
    """The plan; numbers that the config leaves null are collected from the data set, and printed."""
    from data_preprocessing.planning.plan import make_plan, needs_fingerprint

    missing = needs_fingerprint(config, dataset, options.dim)
    if not missing:
        return make_plan(config, dataset, options.dim)
    plan = make_plan(config, dataset, options.dim, _fingerprint(options, dataset, config.task, backend))
    print(f"Collected from the data set, as the config leaves {', '.join(missing)} open:")
    for name, value in (
        ("spacing", [round(mm, 4) for mm in plan.spacing]),
        ("patch size", list(plan.patch_size)),
        ("normalization", [each.model_dump(exclude_none=True) for each in plan.normalization]),
        ("nonzero mask", plan.nonzero_mask),
    ):
        print(f"  {name}: {value}")
    return plan


def _fingerprint(
    options: argparse.Namespace, dataset: "Dataset", task: str, backend: "Backend", keep: bool = True
) -> "Fingerprint":
    from data_preprocessing.planning.fingerprint import load_or_collect
    from nnunet_tf.runtime.progress import track

    folder = options.shards / f"task{task}_fingerprint"
    with track("Collecting the fingerprint", total=len(dataset.training), unit="cases") as tracker:
        return load_or_collect(folder, dataset, backend, tracker.update, options.trust_grid, keep)


def _warn(message: str) -> None:
    print(f"preprocess.py: {message}", file=sys.stderr)


def _data(options: argparse.Namespace) -> Path:
    return options.from_nnunet.absolute().parent if options.from_nnunet else options.data


def _dataset_name(options: argparse.Namespace) -> str:
    from data_preprocessing.common.task import load_task

    return options.from_nnunet.name if options.from_nnunet else load_task(options.task).dataset


if __name__ == "__main__":
    run(main)
