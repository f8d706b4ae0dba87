"""Which cases are trained on and which are judged: `--splits`, or what lies beside the data set or its shards."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from data_preprocessing.common.defaults import FOLDS
from data_preprocessing.common.errors import UserError
from data_preprocessing.common.script import program, user_path
from nnunet_tf.commands.options.source import data_folder
from nnunet_tf.commands.parser import CommandParser

if TYPE_CHECKING:
    from data_preprocessing.dataset.dataset import Dataset
    from data_preprocessing.dataset.splits import StatedFold
    from data_preprocessing.shards.format import Manifest


def add_splits(parser: CommandParser) -> None:
    """Adds `--splits`."""
    described = "training and validation cases of each fold, like nnU-Net's splits_final.json"
    parser.add_argument("--splits", type=user_path, metavar="JSON", help=described)


def states_splits(options: argparse.Namespace, name: str) -> bool:
    """Returns whether folds are stated, by the option or by a file in the folder of the data set called `name`."""
    return bool(getattr(options, "splits", None)) or _beside(data_folder(options) / name) is not None


def splits_of_dataset(
    options: argparse.Namespace, dataset: "Dataset", warn: Callable[[str], None]
) -> "tuple[StatedFold, ...]":
    """Returns the stated folds of a data set, none where nothing states them; `warn` is told of leaks.

    Raises UserError where a fold names a case that the data set does not have.
    """
    from data_preprocessing.dataset.splits import check_splits, read_splits, split_warnings

    path = options.splits or _beside(dataset.folder)
    if path is None:
        return ()
    folds = read_splits(path)
    images = {case.name: case.images[0] for case in dataset.training}
    check_splits(folds, images, str(path))
    for line in split_warnings(folds, images, dataset.groups):
        warn(f"{path}: {line}")
    return folds


def stated_folds(options: argparse.Namespace, manifest: "Manifest", shards: Path) -> "tuple[StatedFold, ...]":
    """Returns the folds that `--splits` states, else those kept with the shards; `options.nfolds` becomes their number.

    Raises UserError where they name a case that has no shards, or `--nfolds` is another number than theirs.
    """
    from data_preprocessing.dataset.splits import check_splits, read_splits, split_warnings
    from nnunet_tf.launch.ranks import other_launcher, rank, started_by_launcher

    folds = read_splits(options.splits) if options.splits else manifest.splits
    if not folds:
        return ()
    source = str(options.splits or shards)
    check_splits(folds, manifest.cases, source)
    if options.nfolds not in (FOLDS, len(folds)):
        raise UserError(f"--nfolds {options.nfolds}: {source} states {len(folds)}; leave out --nfolds")
    options.nfolds = len(folds)
    silent = rank() > 0 if other_launcher() else started_by_launcher()
    for line in [] if silent else split_warnings(folds, dict.fromkeys(manifest.cases), manifest.groups):
        print(f"{program()}: {source}: {line}", file=sys.stderr)
    return folds


def _beside(folder: Path) -> Path | None:
    from data_preprocessing.dataset.splits import SPLITS_NAME

    path = folder / SPLITS_NAME
    return path if path.is_file() else None
