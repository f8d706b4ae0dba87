"""The data set that a command is about, and what is to be done with many of its cases at once."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from data_preprocessing.common.script import user_path
from nnunet_tf.commands.parser import CommandParser

if TYPE_CHECKING:
    from data_preprocessing.dataset.dataset import Dataset
    from data_preprocessing.jobs.backend import Backend
    from data_preprocessing.planning.fingerprint import Fingerprint


def add_source_options(parser: CommandParser) -> None:
    """Adds which data set is meant, where its shards are, and on what the work is done."""
    parser.add_task()
    parser.add_folds()
    parser.add_folder("data", "data sets, such as data/Task04_Hippocampus")
    parser.add_folder("shards", "shards, written to shards/task04_3d")
    parser.add_jobs()
    parser.add_backend()
    parser.add_argument(
        "--trust-grid", action="store_true", help="accept labels of another origin or spacing than their image"
    )
    parser.add_argument(
        "--from-nnunet", type=user_path, metavar="DIR", help="an nnU-Net v2 raw folder, instead of --data"
    )


def fill_in(options: argparse.Namespace, parser: CommandParser, needs_config: bool = True) -> None:
    """Completes the options of the source: the task's number of an nnU-Net folder, and the dimensions of the config.

    Raises UserError where there is no such config and the command `needs_config`.
    """
    parser.check_backend(options)
    if options.from_nnunet and options.from_nnunet.name in ("", ".."):  # such as `.`, where its name is needed
        options.from_nnunet = options.from_nnunet.resolve()
    if not needs_config:
        return
    if options.from_nnunet and options.task == parser.get_default("task"):
        from data_preprocessing.planning.planner import task_number

        options.task = task_number(options.from_nnunet.name)
    from nnunet_tf.runtime.dimensions import set_dim

    set_dim(options)


def data_folder(options: argparse.Namespace) -> Path:
    """Returns the folder that the data set lies in."""
    return options.from_nnunet.absolute().parent if options.from_nnunet else options.data


def dataset_name(options: argparse.Namespace) -> str:
    """Returns the name of the data set's folder."""
    from data_preprocessing.common.task import load_task

    if options.from_nnunet:
        return options.from_nnunet.name
    return options.task if names_folder(options) else load_task(options.task).dataset


def names_folder(options: argparse.Namespace) -> bool:
    """Returns whether `--task` is the folder of a data set, which may have no config yet, rather than a config."""
    name = str(options.task)
    return not name.isdecimal() and not user_path(name).is_file() and (options.data / name).is_dir()


def source_words(options: argparse.Namespace) -> list[str]:
    """Returns the options that name the same data set on another command line."""
    if options.from_nnunet:
        return ["--from-nnunet", str(options.from_nnunet)]
    data = [] if options.data == Path("data") else ["--data", str(options.data)]
    return ["--task", str(options.task), *data]


def load_fingerprint(
    options: argparse.Namespace, dataset: "Dataset", task: str, backend: "Backend", keep: bool = True
) -> "Fingerprint":
    """Returns the fingerprint of the data set, kept beside its shards unless `keep` is false."""
    from data_preprocessing.planning.fingerprint import load_or_collect
    from nnunet_tf.runtime.progress import track

    folder = options.shards / f"task{task}_fingerprint"
    with track("Collecting the fingerprint", total=len(dataset.training), unit="cases") as tracker:
        return load_or_collect(folder, dataset, backend, tracker.update, options.trust_grid, keep)
