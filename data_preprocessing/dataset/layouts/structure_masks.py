"""One binary mask per structure, as TotalSegmentator writes them, combined into one label map."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.scan_names import split_suffix
from data_preprocessing.images.checks import grids
from data_preprocessing.images.checks.finding import Row, refuse, unusable
from data_preprocessing.images.formats.registry import is_image
from data_preprocessing.images.image_file import load_image
from data_preprocessing.images.nifti_file import NiftiImage
from data_preprocessing.images.volume_io import file_grid, numbers_on


@dataclass(frozen=True)
class Combined:
    """Label numbers `(z, y, x)` and, for each two structures that overlap, in how many voxels they do."""

    numbers: np.ndarray
    overlaps: Mapping[tuple[str, str], int]


def masks_in(folder: Path) -> dict[str, Path]:
    """Returns the masks in a folder by the names of their structures, sorted; raises UserError where there is none."""
    if not folder.is_dir():
        raise UserError(f"{folder}: not a folder of masks; give --masks the folder, or --label for a label map")
    found = {split_suffix(path)[0]: path for path in sorted(folder.iterdir()) if is_image(path)}
    if not found:
        raise UserError(f"{folder}: holds no mask; correct --masks, or remove the case")
    return found


def structures_of(cases: Sequence[Mapping[str, Path]]) -> dict[str, int]:
    """Returns a number from 1 on for each structure with a mask in any of the cases, in the order of their names."""
    names = sorted({name for masks in cases for name in masks})
    return {name: number for number, name in enumerate(names, start=1)}


def combine_masks(masks: Mapping[str, Path], numbers: Mapping[str, int], image: NiftiImage) -> Combined:
    """Returns one label map of the masks on the grid of `image`; structures without a number are left out.

    A voxel is in a structure where its mask is not 0. Where several claim it, the one of the highest number has it.
    One mask is read at a time. Raises UserError for a mask on another grid than the image, or with other numbers than
    0 and one more.
    """
    highest = max(numbers.values(), default=1)
    combined: np.ndarray | None = None
    overlaps: dict[tuple[str, str], int] = {}
    names = {number: name for name, number in numbers.items()}
    for name in sorted(masks.keys() & numbers.keys(), key=lambda each: numbers[each]):
        inside = _mask(masks[name], image)
        if combined is None:
            combined = np.zeros(inside.shape, np.min_scalar_type(highest))
        counts = np.bincount(combined[inside])
        for number in np.flatnonzero(counts[1:]) + 1:
            overlaps[names[int(number)], name] = int(counts[number])
        combined[inside] = numbers[name]
    if combined is None:
        raise UserError(
            f"{next(iter(masks.values())).parent}: has a mask of none of {', '.join(numbers)}; correct --names"
        )
    return Combined(combined, overlaps)


def _mask(path: Path, image: NiftiImage) -> np.ndarray:
    mask = load_image(path, as_label=True)
    refuse(path, *grids.check_label_grid(*file_grid(mask), *file_grid(image), trust_grid=False))
    voxels = numbers_on(path, mask, image.affine)
    inside = voxels != 0
    if np.count_nonzero(voxels == voxels.max()) != np.count_nonzero(inside) and inside.any():
        raise unusable(path, Row.FRACTIONAL_LABEL, "a mask with several numbers", "give a label map with --label")
    return inside
