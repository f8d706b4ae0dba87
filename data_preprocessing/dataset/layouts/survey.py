"""Read what `dataset.json` and the user need to know of each case, and combine masks and segments into label maps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import nibabel as nib
import numpy as np

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.layouts.model import FoundCase
from data_preprocessing.dataset.layouts.structure_masks import combine_masks, structures_of
from data_preprocessing.dataset.memory import estimate_reading
from data_preprocessing.images.checks.file_format import AXES_OF_SPACE
from data_preprocessing.images.checks.finding import refuse
from data_preprocessing.images.checks.geometry import Grid, check_affine
from data_preprocessing.images.checks.grids import check_channel_grid, check_label_grid
from data_preprocessing.images.checks.voxels import Intensities, check_label_values, measure
from data_preprocessing.images.formats.dicom_segments import read_segmentation, segmentation_header
from data_preprocessing.images.formats.registry import is_picture
from data_preprocessing.images.image_file import load_image, open_image, read_header, with_channels
from data_preprocessing.images.nifti_file import NiftiImage
from data_preprocessing.images.orientation import spacing_zyx
from data_preprocessing.images.volume_io import (
    file_grid,
    stated_modality,
    stored_channels,
    stored_label,
    write_label,
)
from data_preprocessing.jobs.backend import Backend, run_small_jobs
from data_preprocessing.jobs.process_pool import Job

CASES_SAMPLED = 5  # whose intensities are looked at
LABEL_SUFFIX = ".nii.gz"
PART = 2**20  # voxels counted at once
Sample: TypeAlias = tuple[tuple[Intensities, str], ...]
"""Of each channel of a case the range of its values, and the modality that its file states, in DICOM's terms."""


@dataclass(frozen=True)
class CaseFacts:
    """What the files of a case hold. `spacing` is mm `(z, y, x)`, `shape` is `(i, j, k)` of its file.

    `voxels` counts the voxels of each label number; `overlaps` those that two structures claim.
    """

    name: str
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    channels: int
    voxels: Mapping[int, int] = field(default_factory=dict)
    overlaps: Mapping[tuple[str, str], int] = field(default_factory=dict)


def class_numbers(cases: Sequence[FoundCase]) -> dict[str, int]:
    """Returns a number from 1 on for each structure that has a mask, or a segment, in any of the cases.

    Segments come in the order of their numbers, masks in that of their names; both are empty for label maps.
    """
    first: dict[str, int] = {}
    for case in cases:
        if case.segmentation:
            for number, name in segmentation_header(case.segmentation).segments.items():
                first[name] = min(number, first.get(name, number))
    segments = sorted(first, key=lambda name: (first[name], name))
    masks = [name for name in structures_of([case.masks for case in cases]) if name not in first]
    return {name: number for number, name in enumerate([*segments, *masks], start=1)}


def survey(
    cases: Sequence[FoundCase],
    numbers: Mapping[str, int],
    labels: Path,
    backend: Backend,
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[CaseFacts], list[str]]:
    """Returns the facts of all cases that can be read, by name, and one line for each that cannot.

    Label maps made of masks or segments, with the class `numbers`, are written to the folder `labels`.
    """
    jobs = [Job(case.name, _facts, (case, numbers, labels), estimate_reading(case.as_case())) for case in cases]
    facts: list[CaseFacts] = []
    problems: list[str] = []
    files = [file for case in cases for file in case.files]
    for done, outcome in enumerate(run_small_jobs(jobs, files, backend), start=1):
        if outcome.result is None:
            raise RuntimeError(f"reading {outcome.name}: {outcome.failure}")
        if isinstance(outcome.result, str):
            problems.append(outcome.result)
        else:
            facts.append(outcome.result)
        on_case(done, len(cases))
    return sorted(facts, key=lambda each: each.name), sorted(problems)


def grid_of(path: Path) -> NiftiImage:
    """Returns an image whose header is that of a file, over voxels that take no memory.

    The voxels are read only where the header alone does not do. Raises Unusable for a file that cannot be used.
    """
    header = read_header(path)
    if header is None:
        image = load_image(path)
        header, affine = image.header, image.affine
    else:
        affine = header.get_best_affine()
        refuse(path, *check_affine(Grid(header.get_data_shape()[:3], affine, header, header["pixdim"][1:4])))
    kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    return kind(np.broadcast_to(np.uint8(0), header.get_data_shape()), affine, header)


def sample_intensities(cases: Sequence[FoundCase]) -> list[Sample]:
    """Returns the intensities of a few cases, spread over all; raises UserError for a file that cannot be used."""
    chosen = sorted(set(np.linspace(0, len(cases) - 1, CASES_SAMPLED).round().astype(int).tolist()))
    return [_intensities(cases[index].images) for index in chosen]


def _facts(case: FoundCase, numbers: Mapping[str, int], labels: Path) -> CaseFacts | str:
    try:
        return _read(case, numbers, labels)
    except UserError as refusal:
        return f"{case.name}: {refusal}"


def _read(case: FoundCase, numbers: Mapping[str, int], labels: Path) -> CaseFacts:
    grids = [grid_of(path) for path in case.images]
    for path, grid in zip(case.images[1:], grids[1:], strict=True):
        refuse(path, *check_channel_grid(*file_grid(grid), *file_grid(grids[0])))
    voxels: Mapping[int, int] = {}
    overlaps: Mapping[tuple[str, str], int] = {}
    if case.label is not None:
        voxels = _label_voxels(case.label, grids[0])
    elif case.has_label:
        combined, overlaps = _combine(case, numbers, grids[0])
        write_label(labels / f"{case.name}{LABEL_SUFFIX}", combined, grids[0])
        voxels = _count(combined)
    return CaseFacts(
        name=case.name,
        shape=file_grid(grids[0])[0],
        spacing=spacing_zyx(grids[0].affine),
        channels=sum(int(np.prod(grid.shape[AXES_OF_SPACE:])) for grid in grids),
        voxels=voxels,
        overlaps=overlaps,
    )


def _combine(
    case: FoundCase, numbers: Mapping[str, int], grid: NiftiImage
) -> tuple[np.ndarray, Mapping[tuple[str, str], int]]:
    if case.segmentation is not None:
        return read_segmentation(case.segmentation, grid, numbers)
    combined = combine_masks(case.masks, numbers, grid)
    return combined.numbers, combined.overlaps


def _intensities(paths: Sequence[Path]) -> Sample:
    sample: list[tuple[Intensities, str]] = []
    for path in paths:
        image, _ = open_image(path)
        image = with_channels(path, image, 1 if len(paths) > 1 else None)
        voxels, slope, intercept = stored_channels(path, image)
        for index in range(voxels.shape[-1]):
            sample.append((measure(str(index), voxels[..., index], slope, intercept), stated_modality(image)))
    return tuple(sample)


def _label_voxels(path: Path, grid: NiftiImage) -> dict[int, int]:
    image = load_image(path, as_label=True)
    refuse(path, *check_label_grid(*file_grid(image), *file_grid(grid), trust_grid=is_picture(path)))
    voxels = stored_label(path, image)
    refuse(path, *check_label_values(voxels))
    return _count(voxels)


def _count(voxels: np.ndarray) -> dict[int, int]:
    """How many voxels have each number; part by part, in the order of memory, so that nothing large is copied."""
    flat = voxels.ravel(order="K")
    counts: dict[int, int] = {}
    for start in range(0, flat.size, PART):
        part = (
            np.rint(flat[start : start + PART]).astype(np.int64)
            if flat.dtype.kind == "f"
            else flat[start : start + PART]
        )
        for number, count in zip(*np.unique(part, return_counts=True), strict=True):
            counts[int(number)] = counts.get(int(number), 0) + int(count)
    return counts
