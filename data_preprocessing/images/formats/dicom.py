"""A DICOM series: the slices in the files of one folder, through pydicom."""

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from data_preprocessing.images.checks.finding import Finding, Row, unusable, warning
from data_preprocessing.images.formats.dicom_pixels import read_voxels, result_type
from data_preprocessing.images.formats.dicom_series import (
    SUFFIX,
    find_series,
    is_dicom,
    is_series,
    series_folders,
    without_localizers,
)
from data_preprocessing.images.formats.dicom_slices import CONVERT_SERIES, Slice
from data_preprocessing.images.formats.stored import LPS_TO_RAS, Stored, no_voxels
from data_preprocessing.images.limits import check_size

__all__ = [
    "SUFFIX",
    "affine_of",
    "is_dicom",
    "is_series",
    "look",
    "read",
    "series_folders",
    "sorted_slices",
    "without_localizers",
]

FOLDERS_REMEMBERED = 64
TURNED = 1e-3  # difference of a direction's component
STEP_TOLERANCE = 0.02  # of the distance between slices: positions are written as rounded decimals
SMALLEST_STEP_MM = 1e-3
SAME_PLACE = 1e-2  # times the largest distance
MISSING = 1.5  # times the smallest distance
OFF_STRAIGHT = 0.5  # pixels


def read(folder: Path, as_label: bool) -> Stored:
    """Returns the voxels, `(column, row, slice)`, rescaled as the files say, and the affine by the slices' positions.

    Raises Unusable where a slice is missing, there are several series, slices do not fit one another, or a file is
    damaged. A tilted gantry is a warning.
    """
    series = find_series(folder)
    slices = sorted_slices(folder, series.slices)
    check_size(folder, (len(slices), *slices[0].shape), result_type(slices).itemsize)
    findings = (*series.findings, *_tilt(slices))
    return Stored(read_voxels(slices).T, affine_of(slices), findings=findings, modality=series.modality)


def look(folder: Path) -> Stored:
    """Returns shape, type and affine by the headers, which are read once as long as no file changes."""
    with os.scandir(folder) as entries:
        files = sorted((entry.name, entry.stat().st_mtime_ns, entry.stat().st_size) for entry in entries)
    return _look(folder, tuple(files))


@lru_cache(maxsize=FOLDERS_REMEMBERED)
def _look(folder: Path, files: tuple[tuple[str, int, int], ...]) -> Stored:
    series = find_series(folder)
    slices = sorted_slices(folder, series.slices)
    voxels = no_voxels((*slices[0].shape, len(slices)), result_type(slices))
    return Stored(voxels, affine_of(slices), modality=series.modality)


def sorted_slices(folder: Path, slices: Sequence[Slice]) -> list[Slice]:
    """Returns the slices along their common normal; raises Unusable unless they make one straight-sided volume."""
    first = slices[0]
    for each in slices:
        same_plane = np.abs(each.directions - first.directions).max() <= TURNED
        if not same_plane or each.shape != first.shape or not np.allclose(each.spacing, first.spacing, rtol=1e-3):
            problem = f"its plane, size or spacing differs from that of {first.path.name}"
            raise unusable(each.path, Row.DICOM_SERIES, problem, "take it out if it is a localizer, or convert anew")
    ordered = sorted(slices, key=lambda each: float(each.position @ first.normal))
    _check_steps(folder, ordered)
    return ordered


def affine_of(slices: Sequence[Slice]) -> np.ndarray:
    """Returns the affine (4, 4), mm, RAS+, of slices in order; those of a tilted gantry are taken for straight."""
    first = slices[0]
    affine = np.eye(4)
    affine[:3, :2] = first.directions.T * first.spacing
    affine[:3, 2] = first.normal * (_depth(slices) / (len(slices) - 1) if len(slices) > 1 else first.thickness)
    affine[:3, 3] = first.position
    return LPS_TO_RAS @ affine


def _depth(slices: Sequence[Slice]) -> float:
    return float((slices[-1].position - slices[0].position) @ slices[0].normal)


def _check_steps(folder: Path, ordered: Sequence[Slice]) -> None:
    """All slices are equally far apart."""
    if len(ordered) < 2:
        return
    steps = np.diff([float(each.position @ ordered[0].normal) for each in ordered])
    nearest, farthest = int(steps.argmin()), int(steps.argmax())
    same_place = steps < max(SMALLEST_STEP_MM, SAME_PLACE * steps[farthest])
    times = len(ordered) // (len(ordered) - np.count_nonzero(same_place))
    if (
        same_place.any()
        and np.array_equal(same_place, np.arange(1, len(ordered)) % times != 0)
        and not same_place.all()
    ):
        problem = f"holds {times} images of each of {len(ordered) // times} places (over time, or of several contrasts)"
        raise unusable(folder, Row.DICOM_SERIES, problem, "split it with dcm2niix and give one volume of it")
    if same_place.any():
        problem = f"{ordered[nearest].path.name} and {ordered[nearest + 1].path.name} lie in one place"
        raise unusable(folder, Row.DICOM_SERIES, problem, "keep one of each place, or put each time into a folder")
    between = f"between {ordered[farthest].path.name} and {ordered[farthest + 1].path.name}"
    apart = f"{steps[farthest]:g} mm, where others are {steps[nearest]:g} mm apart"
    if steps[farthest] > MISSING * steps[nearest]:
        problem = f"a slice is missing {between} ({apart})"
        raise unusable(folder, Row.DICOM_SERIES, problem, "copy the whole series again")
    _check_line(ordered)
    if steps[farthest] - steps[nearest] > STEP_TOLERANCE * steps[nearest] + SMALLEST_STEP_MM:
        raise unusable(folder, Row.DICOM_SERIES, f"slices are unevenly spaced {between} ({apart})", CONVERT_SERIES)


def _check_line(ordered: Sequence[Slice]) -> None:
    """The first voxels of all slices lie on one line."""
    first, depth = ordered[0], _depth(ordered)
    along = ordered[-1].position - first.position
    for each in ordered[1:-1]:
        moved = each.position - first.position
        aside = float(np.linalg.norm(moved - along * (moved @ first.normal) / depth))
        if aside > OFF_STRAIGHT * min(first.spacing):
            problem = f"lies {aside:.3g} mm aside from the line of the others"
            raise unusable(each.path, Row.DICOM_SERIES, problem, CONVERT_SERIES)


def _tilt(slices: Sequence[Slice]) -> tuple[Finding, ...]:
    """Slices that are not straight above one another."""
    first, depth = slices[0], _depth(slices)
    shift = float(np.linalg.norm(slices[-1].position - slices[0].position - depth * first.normal))
    if shift <= OFF_STRAIGHT * min(first.spacing):
        return ()
    problem = f"the gantry was tilted by {np.degrees(np.arctan2(shift, depth)):.1f} degrees"
    remedy = "its slices are taken for straight above one another; dcm2niix makes a straight volume of them"
    return (warning(Row.DICOM_SERIES, problem, remedy),)
