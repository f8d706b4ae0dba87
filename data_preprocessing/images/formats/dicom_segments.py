"""DICOM segmentations (SEG objects, as highdicom, 3D Slicer and dcmqi write them), laid on the grid of an image.

Source: DICOM PS3.3, A.51 Segmentation IOD and C.8.20 Segmentation module.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.pixels.utils import iter_pixels

from data_preprocessing.images.checks.finding import Row, Unusable, unusable
from data_preprocessing.images.formats.dicom_file import INVALID, PER_FRAME, SHARED, damaged, read_header
from data_preprocessing.images.formats.stored import LPS_TO_RAS
from data_preprocessing.images.nifti_file import NiftiImage, spatial_shape
from data_preprocessing.images.orientation import to_ras_zyx

OFF_GRID = 0.05  # voxels: positions are written as rounded decimals
HALF = 0.5  # of MaximumFractionalValue
FILES_REMEMBERED = 4096
PLACE = "resample it onto the image's grid, or give the image that it was drawn on"


@dataclass(frozen=True)
class SegmentationHeader:
    """What a segmentation says about itself. `segments` are the names by number; UIDs are empty where not stated."""

    segments: Mapping[int, str]
    series: tuple[str, ...]
    frame_of_reference: str
    study: str
    patient: str


def is_segmentation(path: Path) -> bool:
    """Returns whether a file is a DICOM segmentation, by its content."""
    try:
        header = read_header(path) if path.is_file() else None
    except (OSError, Unusable):
        return False
    return header is not None and header.is_segmentation


@lru_cache(maxsize=FILES_REMEMBERED)
def segmentation_header(path: Path) -> SegmentationHeader:
    """Returns the header of a segmentation; raises Unusable for a damaged one."""
    dataset = _read(path, pixels=False)
    referenced = [str(each.SeriesInstanceUID) for each in dataset.get("ReferencedSeriesSequence") or []]
    segments = {
        int(each.SegmentNumber): _segment_name(each)
        for each in dataset.get("SegmentSequence") or []
        if "SegmentNumber" in each
    }
    texts = (str(dataset.get(name) or "") for name in ("FrameOfReferenceUID", "StudyInstanceUID", "PatientID"))
    frame_of_reference, study, patient = texts
    segments.pop(0, None)  # the background of a label map
    return SegmentationHeader(segments, tuple(referenced), frame_of_reference, study, patient)


def read_segmentation(
    path: Path, image: NiftiImage, numbers: Mapping[str, int]
) -> tuple[np.ndarray, dict[tuple[str, str], int]]:
    """Returns the label numbers `(z, y, x)` of a segmentation on the grid of `image`, and voxels per overlapping pair.

    `numbers` are those of the classes by the names of segments; others are left out. A voxel that several segments
    claim has the highest of their numbers. A fractional segment holds the voxels of half its maximum or more. Raises
    Unusable for frames whose pixels are not at voxels of the image: nothing is resampled.
    """
    header = segmentation_header(path)
    classes = {number: numbers[name] for number, name in header.segments.items() if name in numbers}
    names = {number: name for name, number in numbers.items()}
    labels = np.zeros(spatial_shape(image), np.min_scalar_type(max(numbers.values(), default=1)), order="F")
    overlaps: dict[tuple[str, str], int] = {}
    to_voxels = np.linalg.inv(image.affine)
    try:
        for segment, frame_affine, mask in _frames(path):
            if segment not in classes or not mask.any():
                continue
            voxels = _placed(path, mask, to_voxels @ frame_affine, labels.shape)
            label = classes[segment]
            before = labels[voxels]
            for other, count in enumerate(np.bincount(before)):
                if other not in (0, label) and count:
                    pair = (names[min(other, label)], names[max(other, label)])
                    overlaps[pair] = overlaps.get(pair, 0) + int(count)
            labels[voxels] = np.maximum(before, label)
    except Unusable:
        raise
    except INVALID:
        raise damaged(path) from None
    return np.ascontiguousarray(to_ras_zyx(labels, image.affine)), overlaps


def _segment_name(segment: Dataset) -> str:
    return " ".join(str(segment.get("SegmentLabel") or "").split()) or f"segment {segment.SegmentNumber}"


def _read(path: Path, pixels: bool) -> Dataset:
    try:
        with warnings.catch_warnings(action="ignore"):
            return dcmread(path, stop_before_pixels=not pixels)
    except INVALID:
        raise damaged(path) from None


def _frames(path: Path) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Segment number, affine (4, 4) of `(column, row, 0)` in mm RAS+, and mask `(row, column)` of each frame.

    A frame of a label map is one mask per segment in it.
    """
    with warnings.catch_warnings(action="ignore"):
        dataset = _read(path, pixels=True)
        kind = str(dataset.get("SegmentationType") or "BINARY")
        count, groups = int(dataset.get("NumberOfFrames") or 1), dataset.get(PER_FRAME) or []
        if len(groups) != count:
            raise unusable(path, Row.DICOM_SERIES, "its frames state no place", PLACE)
        half = HALF * float(dataset.get("MaximumFractionalValue") or 1)
        for index, frame in enumerate(_pixels(dataset, count)):
            affine = _frame_affine(path, dataset, index)
            if kind == "LABELMAP":
                for number in np.unique(frame[frame != 0]).tolist():
                    yield int(number), affine, frame == number
            else:
                stated = _group(dataset, index, "SegmentIdentificationSequence")
                yield int(stated.ReferencedSegmentNumber), affine, frame >= half if kind == "FRACTIONAL" else frame != 0


def _pixels(dataset: Dataset, count: int) -> Iterator[np.ndarray]:
    """The frames `(row, column)`. Those of one bit per pixel follow one another without a gap between them."""
    if int(dataset.BitsAllocated) != 1 or dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        yield from iter_pixels(dataset)
        return
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    content = np.frombuffer(dataset.PixelData, np.uint8)
    if content.size * 8 < count * rows * columns:
        raise ValueError("fewer pixels than its header says")
    for index in range(count):
        start, end = index * rows * columns, (index + 1) * rows * columns
        bits = np.unpackbits(content[start // 8 : -(-end // 8)], bitorder="little")
        yield bits[start % 8 : start % 8 + rows * columns].reshape(rows, columns)


def _frame_affine(path: Path, dataset: Dataset, index: int) -> np.ndarray:
    try:
        position = _group(dataset, index, "PlanePositionSequence").ImagePositionPatient
        directions = np.reshape(_group(dataset, index, "PlaneOrientationSequence").ImageOrientationPatient, (2, 3))
        row_step, column_step = map(float, _group(dataset, index, "PixelMeasuresSequence").PixelSpacing)
    except (AttributeError, KeyError, ValueError, TypeError):
        raise unusable(path, Row.DICOM_SERIES, f"frame {index + 1} does not state its place", PLACE) from None
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = directions[0].astype(float) * column_step, directions[1].astype(float) * row_step
    affine[:3, 2] = np.cross(directions[0].astype(float), directions[1].astype(float))
    affine[:3, 3] = np.array(position, float)
    return LPS_TO_RAS @ affine


def _group(dataset: Dataset, frame: int, name: str) -> Dataset:
    for group in (dataset[PER_FRAME].value[frame], *(dataset.get(SHARED) or [])):
        if group.get(name):
            return group[name].value[0]
    raise KeyError(name)


def _placed(path: Path, mask: np.ndarray, to_image: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """The indices `(i, j, k)` in the image of the pixels in a mask; `to_image` brings `(column, row, 0)` there."""
    rows, columns = np.nonzero(mask)
    steps, start = np.rint(to_image[:3, :2]).astype(int), np.rint(to_image[:3, 3]).astype(int)
    corners = np.array([[0, 0], [mask.shape[1] - 1, mask.shape[0] - 1]])
    off = to_image[:3, :2] @ corners.T + to_image[:3, 3:] - steps @ corners.T - start[:, np.newaxis]
    if np.abs(off).max() > OFF_GRID:
        raise unusable(
            path, Row.LABEL_GRID, f"its pixels are up to {np.abs(off).max():.2g} voxels off the image's", PLACE
        )
    indices = steps @ np.stack([columns, rows]) + start[:, np.newaxis]
    if (indices < 0).any() or (indices >= np.array(shape)[:, np.newaxis]).any():
        raise unusable(path, Row.LABEL_GRID, "it marks voxels outside the image", PLACE)
    return tuple(indices)
