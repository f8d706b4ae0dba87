"""One training case as its files have it: the image, and the class of each voxel."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.text import counted
from data_preprocessing.dataset.dataset import Case, Dataset
from data_preprocessing.images.checks.finding import refuse
from data_preprocessing.images.checks.voxels import check_declared, label_numbers
from data_preprocessing.images.volume_io import Volume, read_image, read_label

LONGEST_TABLE = 2**20  # label numbers past this (of atlases) are searched, not looked up


def read_training_case(case: Case, dataset: Dataset, trust_grid: bool = False) -> tuple[Volume, np.ndarray]:
    """Returns the image of a training case and its class indices `(z, y, x)` on the same grid.

    What `--verify` runs for every case too. Raises UserError when image or label cannot be used.
    """
    if case.label is None:
        raise UserError(f"case {case.name}: has no label; training cases need one")
    volume = read_case(case, dataset.channels, dataset.folder.name)
    return volume, class_indices(read_label(case.label, volume, trust_grid), dataset.labels, case.label)


def read_case(case: Case, channels: Sequence[str], name: str) -> Volume:
    """Returns the image of a case; raises UserError when a file is damaged or has other channels than `channels`,
    those of the plan or data set called `name`."""
    volume = read_image(case.images, channels=len(channels))
    check_channels(case.images[0], volume.array.shape[3], channels, name)
    return volume


def check_channels(path: Path, number: int, channels: Sequence[str], name: str) -> None:
    """Raises UserError, naming `path`, unless `number` is that of `channels`, which those of `name` are called."""
    if number != len(channels):
        raise UserError(
            f"{path}: {counted(number, 'channel')} where {name} has "
            f"{len(channels)} ({', '.join(channels)}); give an image with those channels"
        )


def class_indices(labels: np.ndarray, names: dict[int, str], path: Path) -> np.ndarray:
    """Returns the class index of each label number, uint8 (uint16 past 255 classes), by its place in `names`.

    Raises UserError naming `path` for a number that `names` does not declare.
    """
    present = label_numbers(labels)
    refuse(path, *check_declared(present, names))
    highest = max(present)
    dtype = np.uint8 if len(names) <= 256 else np.uint16
    if highest > LONGEST_TABLE:
        return np.stack([np.searchsorted(list(names), plane).astype(dtype) for plane in labels])
    table = np.zeros(highest + 1, dtype)
    for index, number in enumerate(names):
        if number < len(table):
            table[number] = index
    return table[labels]


def source_files(case: Case, folder: Path) -> dict[str, Path]:
    """Returns the files of a case by their paths below the data set's `folder`, or their full paths where they lie
    elsewhere. It does not matter from where `folder` is named."""
    home = folder.absolute()
    full = {path.absolute(): path for path in case.files}
    return {str(path.relative_to(home) if path.is_relative_to(home) else path): given for path, given in full.items()}
