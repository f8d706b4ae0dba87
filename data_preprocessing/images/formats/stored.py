"""What a file of any format but NIfTI holds, in NIfTI's terms."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_preprocessing.images.checks.finding import Finding, Row, unusable, warning

CONVERT = "convert it to NIfTI, or to one of the formats of docs/formats.md"
MILLIMETRES = ("mm", "millimeter", "millimeters", "millimetre", "millimetres", "", "?", "???", "none", "unknown")
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Stored:
    """Voxels `(i, j, k)` or `(i, j, k, channel)` and their affine (4, 4), mm, RAS+.

    `geometry` is what its writer needs to put a result on exactly that grid, `findings` what is odd about the file,
    `modality` the scanner that it names, in DICOM's terms: CT, MR, PT. Of a file only looked at, the voxels are all 0
    and take no memory: shape and type count.
    """

    voxels: np.ndarray
    affine: np.ndarray
    geometry: object = None
    findings: tuple[Finding, ...] = ()
    modality: str = ""


@dataclass(frozen=True)
class PictureGrid:
    """What is known of a picture besides its pixels.

    `in_colours`: the channels are the colours of one pixel, so that three equal ones may be a grey picture saved in
    colours. `spacing`, mm `(z, y, x)`: where a file beside the picture states it.
    """

    in_colours: bool = False
    spacing: tuple[float, float, float] | None = None


def check_units(*stated: str) -> tuple[Finding, ...]:
    """A unit of length other than millimetres, or than one that says nothing."""
    others = [unit for unit in stated if unit.strip().lower() not in MILLIMETRES]
    if not others:
        return ()
    problem = f"its header says {others[0][:20]}, but its numbers are read as millimeters"
    return (warning(Row.UNIT, problem, "write them in millimetres, or correct the unit"),)


def no_voxels(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Returns an array of zeros that takes no memory."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def one_number_a_voxel(path: Path, voxels: np.ndarray) -> np.ndarray:
    """Returns the voxels in this machine's byte order; raises Unusable where they are no real numbers."""
    if voxels.dtype.kind not in "iuf":
        raise unusable(path, Row.VOXEL_TYPE, f"{voxels.dtype} voxels", "convert it to one number a voxel")
    return voxels.astype(voxels.dtype.newbyteorder("="), copy=False)
