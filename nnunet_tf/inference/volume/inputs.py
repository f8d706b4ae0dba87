"""Scans to predict, read and checked. What is odd about one comes with it, as warnings."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from data_preprocessing.dataset.dataset import Case
from data_preprocessing.dataset.training_case import check_channels
from data_preprocessing.images.checks.finding import Finding, Row, warning
from data_preprocessing.images.checks.geometry import check_slices
from data_preprocessing.images.checks.voxels import (
    Intensities,
    check_constant,
    check_finite,
    check_hounsfield,
    check_modality,
    measure,
)
from data_preprocessing.images.formats.registry import is_picture
from data_preprocessing.images.image_file import read_header, reading
from data_preprocessing.images.nifti_file import NiftiImage, spatial_shape
from data_preprocessing.images.volume_io import Volume, read_image, volume_of
from data_preprocessing.jobs.free_memory import free_memory
from data_preprocessing.planning.plan import Plan
from data_preprocessing.shards.prepare import check_prepared_size, estimate_memory

GIB = 2**30


def check_headers(cases: Sequence[Case], plan: Plan) -> None:
    """Raises UserError for the first case whose headers tell of other channels than the plan's.

    A file whose header cannot be read is passed over: reading it in full will tell why. So is a colour picture for a
    plan of one channel, as it may be grey.
    """
    for case in cases:
        if len(case.images) == len(plan.channels) and any(map(is_picture, case.images)):
            continue
        headers = [read_header(path) for path in case.images]
        shapes = [header.get_data_shape() for header in headers if header is not None]
        if len(shapes) == len(case.images):
            channels = sum(math.prod(shape[3:]) for shape in shapes)
            check_channels(case.images[0], channels, plan.channels, plan.dataset)


def part_of(cases: Sequence[Case], part: int, parts: int) -> list[Case]:
    """Returns the cases of one of `parts`, counted from 1: every `parts`-th, so that all parts are equally long."""
    return list(cases[part - 1 :: parts])


def memory_needed(case: Case, plans: Sequence[Plan]) -> int:
    """Returns the bytes that reading and preparing a case takes at most, by its headers."""
    return max(estimate_memory(case, plan) for plan in plans)


def memory_findings(case: Case, plans: Sequence[Plan], free: int) -> list[Finding]:
    """Returns the warning about a case that may take more than the `free` bytes of memory."""
    needed = memory_needed(case, plans)
    if needed <= free:
        return []
    problem = f"takes about {needed / GIB:.1f} GiB of memory, and {free / GIB:.1f} GiB are free"
    remedy = "it is worked on in smaller slabs; end other programs should that not do"
    return [warning(Row.MEMORY, problem, remedy).at(case.images[0], case.name)]


def read_case(case: Case, plans: Sequence[Plan]) -> Volume:
    """Returns what `read_scan` does, the warning about memory among its findings.

    All that is done with the files of a case before it is computed is done here: whatever goes wrong with them becomes
    a UserError, by which this case fails and no other.
    """
    with reading(case.images[0]):
        findings = memory_findings(case, plans, free_memory())
        volume = read_scan(case, plans)
        for plan in plans:
            check_prepared_size(case.images[0], volume, plan)
        return replace(volume, findings=(*findings, *volume.findings))


def read_scan(case: Case, plans: Sequence[Plan]) -> Volume:
    """Returns the image of a case, finite, with all that is odd about it as `findings`.

    NaN and infinity become background: the channel's lowest value in CT, which is air, else 0. Raises UserError when a
    file is damaged or its channels are not those of the plans, which share them.
    """
    return _checked(read_image(case.images, finite=False, channels=len(plans[0].channels)), case.images, plans)


def scan_of(image: NiftiImage, plans: Sequence[Plan], name: str = "image") -> Volume:
    """Returns an image in memory as `read_scan` does a file; messages call it `name`."""
    return _checked(volume_of(image, name, finite=False), (Path(name),), plans)


def _checked(volume: Volume, paths: Sequence[Path], plans: Sequence[Plan]) -> Volume:
    plan, shape = plans[0], spatial_shape(volume.source)
    check_channels(paths[0], volume.array.shape[3], plan.channels, plan.dataset)
    findings = list(volume.findings)
    for found in check_slices(shape, max(plan.dim for plan in plans)):
        findings.append(warning(found.row, found.problem, "a 2D network suits it better").at(paths[0]))
    for index, name in enumerate(plan.channels):
        path = paths[index] if len(paths) > 1 else paths[0]
        channel = volume.array[..., index]
        intensities = measure(name, channel)
        if check_finite([intensities]):
            findings.append(_fill(channel, plan.normalization[index].name == "ct").at(path))
            intensities = measure(name, channel)
        findings += [found.at(path) for found in _check_values(intensities)]
        stated = volume.modalities[index if len(paths) > 1 else 0]
        findings += [found.at(path) for found in check_modality(name, stated)]
    return replace(volume, findings=tuple(findings))


def _check_values(intensities: Intensities) -> list[Finding]:
    return [*check_constant(intensities), *check_hounsfield(intensities)]


def _fill(channel: np.ndarray, is_ct: bool) -> Finding:
    """Makes background of the voxels `(z, y, x)` that are no numbers, in place."""
    finite = np.isfinite(channel)
    count = finite.size - np.count_nonzero(finite)
    value = float(channel.min(where=finite, initial=np.inf)) if is_ct and count < finite.size else 0.0
    channel[~finite] = value
    problem = f"{count} voxel{'s are' if count != 1 else ' is'} NaN or Inf"
    return warning(Row.NOT_FINITE, problem, f"taken for background, {value:g}")


def sentence(finding: Finding) -> str:
    """Returns a finding as the one line that the user sees."""
    return f"{finding.file}: {finding.problem}; {finding.remedy}"
