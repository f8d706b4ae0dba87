"""Where the slices of a DICOM file lie, and how their pixels are stored.

Numbers are parsed by Python, whatever the locale of the process.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset

from data_preprocessing.images.checks.finding import Row, Unusable, unusable
from data_preprocessing.images.formats.dicom_file import INVALID, PER_FRAME, SHARED, Header, damaged

FLOAT_PIXELS: dict[int, np.dtype] = {0x7FE00008: np.dtype(np.float32), 0x7FE00009: np.dtype(np.float64)}
ALLOCATED_BITS = (8, 16, 32)
ORTHONORMAL = 1e-2  # directions with two digits stay under it
CONVERT_SERIES = "convert the series with dcm2niix and give the NIfTI file"
EXPORT_AGAIN = "export the series again, or correct the header"


@dataclass(frozen=True)
class PixelFormat:
    """How a pixel is stored: `stored` of `allocated` bits, the highest of them `high`; or a float of `dtype`."""

    dtype: np.dtype
    allocated: int
    stored: int
    high: int

    @property
    def limits(self) -> tuple[int, int]:
        """Returns the lowest and the highest number of so many bits."""
        if self.dtype.kind == "i":
            return -(1 << (self.stored - 1)), (1 << (self.stored - 1)) - 1
        return 0, (1 << self.stored) - 1


@dataclass(frozen=True)
class Slice:
    """One slice: `position` mm, `directions` (2, 3) of growing column and row, `spacing` mm along them; LPS+.

    `shape` is (columns, rows). A voxel is `slope` times the stored number plus `intercept`.
    """

    path: Path
    frame: int
    position: np.ndarray
    directions: np.ndarray
    spacing: tuple[float, float]
    thickness: float
    shape: tuple[int, int]
    pixels: PixelFormat
    slope: float
    intercept: float

    @property
    def normal(self) -> np.ndarray:
        """Direction across the slice."""
        return np.cross(self.directions[0], self.directions[1])


def slices_of(header: Header) -> list[Slice]:
    """Returns the slices of a file, one a frame; raises Unusable for what is no volume of one number a voxel."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return _slices(header)
    except Unusable:
        raise
    except INVALID:
        raise damaged(header.path) from None


def _slices(header: Header) -> list[Slice]:
    if not header.is_whole:
        raise damaged(header.path)
    frames, groups = int(header.dataset.get("NumberOfFrames") or 1), header.dataset.get(PER_FRAME) or []
    if frames < 1 or (groups and len(groups) != frames):
        problem = f"{frames} frames by its header, which tells of {len(groups)}"
        raise unusable(header.path, Row.DICOM_SERIES, problem, EXPORT_AGAIN)
    if frames > 1 and not groups:
        problem = f"holds {frames} frames without a place of each (multi-frame)"
        raise unusable(header.path, Row.DICOM_SERIES, problem, CONVERT_SERIES)
    pixels = _pixel_format(header)
    return [_slice(header, frame, pixels) for frame in range(frames)]


def _slice(header: Header, frame: int, pixels: PixelFormat) -> Slice:
    measures = _group(header, "PixelMeasuresSequence", frame)
    position = _numbers(header, _group(header, "PlanePositionSequence", frame), "ImagePositionPatient")
    orientation = _numbers(header, _group(header, "PlaneOrientationSequence", frame), "ImageOrientationPatient")
    spacing = _numbers(header, measures, "PixelSpacing")
    thickness = _numbers(header, measures, "SliceThickness")
    if (len(position), len(orientation), len(spacing)) != (3, 6, 2) or not min(spacing) > 0:
        raise unusable(header.path, Row.DICOM_SERIES, "its place in space is not stated in full", CONVERT_SERIES)
    directions = np.reshape(orientation, (2, 3))
    if np.abs(directions @ directions.T - np.eye(2)).max() > ORTHONORMAL:
        problem = f"its directions are none at right angles ({' '.join(f'{each:g}' for each in orientation)})"
        raise unusable(header.path, Row.DICOM_SERIES, problem, EXPORT_AGAIN)
    slope, intercept = _scaling(header, frame)
    return Slice(
        path=header.path,
        frame=frame,
        position=np.array(position),
        directions=directions / np.linalg.norm(directions, axis=1, keepdims=True),
        spacing=(spacing[1], spacing[0]),  # DICOM states that of rows first
        thickness=thickness[0] if thickness and thickness[0] > 0 else 1.0,
        shape=(int(header.dataset.Columns), int(header.dataset.Rows)),
        pixels=pixels,
        slope=slope,
        intercept=intercept,
    )


def _scaling(header: Header, frame: int) -> tuple[float, float]:
    if header.dataset.get("ModalityLUTSequence"):
        problem = "its numbers go through a table (Modality LUT), which is not applied"
        raise unusable(header.path, Row.VOXEL_TYPE, problem, CONVERT_SERIES)
    stated = _group(header, "PixelValueTransformationSequence", frame)
    slope, intercept = _numbers(header, stated, "RescaleSlope"), _numbers(header, stated, "RescaleIntercept")
    if slope and slope[0] == 0:
        raise unusable(header.path, Row.DICOM_SERIES, "its RescaleSlope is 0", EXPORT_AGAIN)
    return slope[0] if slope else 1.0, intercept[0] if intercept else 0.0


def _pixel_format(header: Header) -> PixelFormat:
    shown = str(header.dataset.get("PhotometricInterpretation") or "MONOCHROME2")
    if int(header.dataset.get("SamplesPerPixel") or 1) > 1 or not shown.startswith("MONOCHROME"):
        raise unusable(header.path, Row.VOXEL_TYPE, f"colour voxels ({shown})", "convert it to one number a voxel")
    if header.pixel_tag in FLOAT_PIXELS:
        dtype = FLOAT_PIXELS[header.pixel_tag]
        return PixelFormat(dtype, dtype.itemsize * 8, dtype.itemsize * 8, dtype.itemsize * 8 - 1)
    allocated = int(header.dataset.BitsAllocated)
    stored = int(header.dataset.get("BitsStored") or allocated)
    high = header.dataset.get("HighBit")
    high = stored - 1 if high is None else int(high)
    if allocated not in ALLOCATED_BITS:
        raise unusable(header.path, Row.VOXEL_TYPE, f"voxels of {allocated} bits", CONVERT_SERIES)
    if not stored <= high + 1 <= allocated:
        problem = f"its BitsStored {stored}, HighBit {high} and BitsAllocated {allocated} do not fit one another"
        raise unusable(header.path, Row.VOXEL_TYPE, problem, EXPORT_AGAIN)
    sign = "i" if header.dataset.get("PixelRepresentation") else "u"
    return PixelFormat(np.dtype(f"{sign}{allocated // 8}"), allocated, stored, high)


def _group(header: Header, name: str, frame: int) -> Dataset:
    """What holds the elements of a functional group: of the frame, of all frames, or of a file of one slice."""
    per_frame, shared = header.dataset.get(PER_FRAME), header.dataset.get(SHARED)
    for group in (per_frame[frame] if per_frame else None, shared[0] if shared else None):
        if group is not None and group.get(name):
            return group[name][0]
    return header.dataset


def _numbers(header: Header, dataset: Dataset, keyword: str) -> list[float]:
    value = dataset.get(keyword)
    parts: Sequence[object] = () if value in (None, "") else [value] if np.ndim(value) == 0 else value
    try:
        numbers = [float(str(part)) for part in parts]
    except ValueError:
        numbers = [np.nan]
    if not np.isfinite(numbers).all():
        said = "\\".join(str(part) for part in parts)
        raise unusable(header.path, Row.DICOM_SERIES, f"its {keyword} is no number ({said})", EXPORT_AGAIN)
    return numbers
