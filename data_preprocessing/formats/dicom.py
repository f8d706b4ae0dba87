"""A DICOM series: the files of one folder, a slice each, through SimpleITK's GDCM."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data_preprocessing.checks.file_format import COPY_AGAIN
from data_preprocessing.checks.finding import Finding, Row, unusable, warning
from data_preprocessing.formats.stored import LPS_TO_RAS, Stored, check_memory, no_voxels, one_number_a_voxel

if TYPE_CHECKING:
    import SimpleITK

SUFFIX = ".dcm"
MAGIC, MAGIC_OFFSET = b"DICM", 128
FILES_TRIED = 5  # until a folder is taken for none of DICOM
INDEX_NAME = "DICOMDIR"
SERIES, NAME, POSITION, ORIENTATION, SPACING, THICKNESS, FRAMES = (
    "0020|000e", "0008|103e", "0020|0032", "0020|0037", "0028|0030", "0018|0050", "0028|0008"
)  # fmt: skip
TURNED = 1e-3  # difference of a direction's component
STEP_TOLERANCE = 0.02  # of the distance between slices: positions are written as rounded decimals
SMALLEST_STEP_MM = 1e-3
MISSING = 1.5  # times the smallest distance
OFF_STRAIGHT = 0.5  # pixels, of the last slice
CONVERT_SERIES = "convert the series with dcm2niix and give the NIfTI file"


@dataclass(frozen=True)
class Slice:
    """The header of one file: `position` mm, `directions` (2, 3) of growing column and row, `spacing` in them; LPS+."""

    path: Path
    series: str
    name: str
    position: np.ndarray
    directions: np.ndarray
    spacing: tuple[float, float]
    thickness: float
    shape: tuple[int, int]
    dtype: np.dtype

    @property
    def normal(self) -> np.ndarray:
        """Direction across the slice."""
        return np.cross(self.directions[0], self.directions[1])


def is_series(folder: Path) -> bool:
    """Returns whether a folder holds DICOM files, by its first few files."""
    if not folder.is_dir():
        return False
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name[0] != "."]
    return any(_is_dicom(path) for path in files[:FILES_TRIED])


def read(folder: Path, as_label: bool) -> Stored:
    """Returns the voxels, `(column, row, slice)`, rescaled as the files say, and the affine by the slices' positions.

    Raises Unusable where a slice is missing, there are several series, slices do not fit one another, or a file is
    damaged. A tilted gantry is a warning.
    """
    import SimpleITK

    slices = sorted_slices(folder, [_header(path) for path in _files(folder)])
    check_memory(folder, len(slices) * int(np.prod(slices[0].shape)) * 4)
    pages = []
    for each in slices:
        try:
            page = SimpleITK.GetArrayFromImage(_reader(each.path).Execute())
        except RuntimeError:
            raise _damaged(each.path) from None
        pages.append(one_number_a_voxel(each.path, page.reshape(each.shape[::-1])))
    voxels = np.stack(pages).astype(np.result_type(*{page.dtype for page in pages}), copy=False)
    return Stored(voxels.T, affine_of(slices), findings=_tilt(slices))


def look(folder: Path) -> Stored:
    """Returns shape, type and affine by the number of files and the header of the first."""
    files = _files(folder)
    first = _header(files[0])
    return Stored(no_voxels((*first.shape, len(files)), first.dtype), affine_of([first]))


def sorted_slices(folder: Path, slices: Sequence[Slice]) -> list[Slice]:
    """Returns the slices along their common normal; raises Unusable unless they make one straight-sided volume."""
    names = {each.series: each.name for each in slices}
    if len(names) > 1:
        counts = Counter(each.series for each in slices)
        listed = ", ".join(f"{names[uid] or uid} ({counts[uid]} files)" for uid in sorted(names))
        problem = f"holds {len(names)} series: {listed}"
        raise unusable(folder, Row.DICOM_SERIES, problem, "put the files of each into a folder of its own")
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
    if steps[nearest] < SMALLEST_STEP_MM:
        problem = f"{ordered[nearest].path.name} and {ordered[nearest + 1].path.name} lie in one place"
        raise unusable(folder, Row.DICOM_SERIES, problem, "keep one of each place, or put each time into a folder")
    between = f"between {ordered[farthest].path.name} and {ordered[farthest + 1].path.name}"
    apart = f"{steps[farthest]:g} mm, where others are {steps[nearest]:g} mm apart"
    if steps[farthest] > MISSING * steps[nearest]:
        problem = f"a slice is missing {between} ({apart})"
        raise unusable(folder, Row.DICOM_SERIES, problem, "copy the whole series again")
    if steps[farthest] - steps[nearest] > STEP_TOLERANCE * steps[nearest] + SMALLEST_STEP_MM:
        raise unusable(folder, Row.DICOM_SERIES, f"slices are unevenly spaced {between} ({apart})", CONVERT_SERIES)


def _tilt(slices: Sequence[Slice]) -> tuple[Finding, ...]:
    """Slices that are not straight above one another."""
    first, depth = slices[0], _depth(slices)
    shift = float(np.linalg.norm(slices[-1].position - slices[0].position - depth * first.normal))
    if shift <= OFF_STRAIGHT * min(first.spacing):
        return ()
    problem = f"the gantry was tilted by {np.degrees(np.arctan2(shift, depth)):.1f} degrees"
    remedy = "its slices are taken for straight above one another; dcm2niix makes a straight volume of them"
    return (warning(Row.DICOM_SERIES, problem, remedy),)


def _files(folder: Path) -> list[Path]:
    named = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name[0] != "."]
    files = [path for path in named if path.name != INDEX_NAME and (path.suffix.lower() == SUFFIX or _is_dicom(path))]
    if not files:
        raise unusable(folder, Row.DICOM_SERIES, "holds no DICOM file", "name the folder of one series")
    return files


def _is_dicom(path: Path) -> bool:
    try:
        with open(path, "rb") as stream:
            return stream.read(MAGIC_OFFSET + len(MAGIC))[MAGIC_OFFSET:] == MAGIC
    except OSError:
        return False


def _reader(path: Path) -> "SimpleITK.ImageFileReader":
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    return reader


def _header(path: Path) -> Slice:
    import SimpleITK

    if not _is_dicom(path):
        raise _damaged(path)
    reader = _reader(path)
    try:
        reader.ReadImageInformation()
        known = {key: reader.GetMetaData(key).strip("\0 ") for key in reader.GetMetaDataKeys()}
        columns, rows, frames = (*reader.GetSize(), 1)[:3]
        one = SimpleITK.Image([1, 1], reader.GetPixelID(), reader.GetNumberOfComponents())
    except (RuntimeError, NotImplementedError):
        raise _damaged(path) from None
    if frames > 1 or known.get(FRAMES, "1") not in ("", "1"):
        raise unusable(path, Row.DICOM_SERIES, "holds several slices (multi-frame)", CONVERT_SERIES)
    if reader.GetNumberOfComponents() > 1:
        raise unusable(path, Row.VOXEL_TYPE, "colour voxels", "convert it to one number a voxel")
    position, orientation, spacing = (_numbers(path, known, tag) for tag in (POSITION, ORIENTATION, SPACING))
    if (len(position), len(orientation), len(spacing)) != (3, 6, 2) or not min(spacing) > 0:
        raise unusable(path, Row.DICOM_SERIES, "its place in space is not stated in full", CONVERT_SERIES)
    thickness = _numbers(path, known, THICKNESS) if known.get(THICKNESS) else [1.0]
    return Slice(
        path=path,
        series=known.get(SERIES, ""),
        name=known.get(NAME, ""),
        position=np.array(position),
        directions=np.reshape(orientation, (2, 3)),
        spacing=(spacing[1], spacing[0]),  # DICOM states that of rows first
        thickness=thickness[0] if thickness[0] > 0 else 1.0,
        shape=(columns, rows),
        dtype=SimpleITK.GetArrayFromImage(one).dtype,
    )


def _numbers(path: Path, known: dict[str, str], tag: str) -> list[float]:
    try:
        numbers = [float(part) for part in known.get(tag, "").split("\\") if part.strip()]
    except ValueError:
        numbers = []
    return numbers if np.isfinite(numbers).all() else []


def _damaged(path: Path) -> Exception:
    return unusable(path, Row.UNREADABLE, "not a valid DICOM image, or truncated", COPY_AGAIN)
