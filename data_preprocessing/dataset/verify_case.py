"""Checks of one case: each of its files is read once, one at a time, and everything is looked at on that occasion."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from data_preprocessing.common.task import Dimensions
from data_preprocessing.dataset.dataset import Case
from data_preprocessing.images.checks.file_format import check_channel_count
from data_preprocessing.images.checks.finding import Finding, Unusable
from data_preprocessing.images.checks.geometry import Grid, check_affine, check_header, check_slices
from data_preprocessing.images.checks.grids import check_channel_grid, check_label_grid, check_label_shape
from data_preprocessing.images.checks.listing import check_there
from data_preprocessing.images.checks.voxels import (
    check_constant,
    check_declared,
    check_finite,
    check_hounsfield,
    check_label_values,
    check_modality,
    label_numbers,
    measure,
)
from data_preprocessing.images.image_file import open_image, with_channels
from data_preprocessing.images.volume_io import stated_modality, stored_channels, stored_label


@dataclass(frozen=True)
class Expected:
    """What every case is held against. `channels` and `labels` are empty where dataset.json does not tell them."""

    channels: tuple[str, ...]
    labels: dict[int, str]
    dim: Dimensions | None
    trust_grid: bool = False


@dataclass(frozen=True)
class FileReport:
    """What came out of one file: its grid unless that is unusable, and channels or numbers unless it has no voxels."""

    findings: list[Finding]
    grid: Grid | None = None
    channels: int | None = None
    numbers: frozenset[int] | None = None


@dataclass(frozen=True)
class CaseReport:
    """All findings of a case, and the numbers in its label, None where they could not be read."""

    findings: list[Finding]
    numbers: frozenset[int] | None


def check_case(case: Case, expected: Expected) -> CaseReport:
    """Returns all that is wrong with the files of one training case."""
    findings: list[Finding] = []
    images: list[FileReport] = []
    for number, path in enumerate(case.images):
        names = expected.channels if len(case.images) == 1 else expected.channels[number : number + 1]
        images.append(_check_image(path, names))
        findings += _at(path, case, images[-1].findings)
    findings += _check_together(case, images, expected)
    if case.label is None:
        return CaseReport(findings, None)
    grid = next((image.grid for image in images if image.grid), None)
    label = _check_label(case.label, grid, expected)
    return CaseReport(findings + _at(case.label, case, label.findings), label.numbers)


def _check_image(path: Path, names: tuple[str, ...]) -> FileReport:
    missing = check_there(path)
    if missing:
        return FileReport(missing)
    try:
        image, grid = open_image(path)
    except Unusable as refusal:
        return FileReport([refusal.finding])
    image = with_channels(path, image, len(names))
    findings = check_affine(grid)
    usable = None if _errors(findings) else grid
    try:
        voxels, slope, intercept = stored_channels(path, image)
    except Unusable as refusal:
        return FileReport([*findings, refusal.finding], usable)
    count = voxels.shape[-1]
    channels = [*names, *map(str, range(len(names), count))]
    intensities = [measure(channels[index], voxels[..., index], slope, intercept) for index in range(count)]
    findings += check_finite(intensities)
    for channel in intensities:
        findings += check_constant(channel) + check_hounsfield(channel)
        findings += check_modality(channel.channel, stated_modality(image))
    return FileReport(findings, usable, count)


def _check_together(case: Case, images: list[FileReport], expected: Expected) -> list[Finding]:
    """What concerns the files of an image as a whole; the first one's grid is that of the case."""
    first = images[0].grid
    findings = check_header(first) + check_slices(first.shape, expected.dim) if first else []
    counts = [image.channels for image in images if image.channels is not None]
    if expected.channels and len(counts) == len(images):
        findings += check_channel_count(sum(counts), expected.channels)
    placed = _at(case.images[0], case, findings)
    for path, image in zip(case.images[1:], images[1:], strict=True):
        if first and image.grid:
            disagreeing = check_channel_grid(image.grid.shape, image.grid.affine, first.shape, first.affine)
            placed += _at(path, case, disagreeing)
    return placed


def _check_label(path: Path, image_grid: Grid | None, expected: Expected) -> FileReport:
    """A label's affine is only held against its image's: what else is odd about its header has no consequence."""
    missing = check_there(path)
    if missing:
        return FileReport(missing)
    try:
        image, grid = open_image(path, as_label=True)
    except Unusable as refusal:
        return FileReport([refusal.finding])
    findings = _errors(check_affine(grid))
    if image_grid and findings:
        findings += check_label_shape(grid.shape, image_grid.shape)
    elif image_grid:
        grids = (grid.shape, grid.affine, image_grid.shape, image_grid.affine)
        findings += check_label_grid(*grids, expected.trust_grid)
    try:
        voxels = stored_label(path, image)
    except Unusable as refusal:
        return FileReport([*findings, refusal.finding])
    wrong_values = check_label_values(voxels)
    if wrong_values:
        return FileReport(findings + wrong_values)
    numbers = label_numbers(voxels)
    undeclared = check_declared(numbers, expected.labels) if expected.labels else []
    return FileReport(findings + undeclared, numbers=numbers)


def _errors(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level == "error"]


def _at(path: Path, case: Case, findings: Iterable[Finding]) -> list[Finding]:
    return [finding.at(path, case.name) for finding in findings]
