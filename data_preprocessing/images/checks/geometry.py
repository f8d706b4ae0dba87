"""Checks of a file's grid: its affine, and what its header says beside it."""

from dataclasses import dataclass

import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.nifti1 import Nifti1Header
from nibabel.spatialimages import HeaderDataError

from data_preprocessing.images.checks.finding import Finding, Row, error, warning

SMALLEST_VOLUME = 1e-6  # of the unit directions, 1 when straight: under it they lie in one plane, rounding aside
SHEAR_OF_ROUNDING = 2e-4  # cosine between two axes: directions written with four digits reach 1.4e-4
LARGEST_SHEAR = 1e-2  # cosine: over 100 voxels, a whole voxel; past it the grid is not straight to anybody
PIXDIM_TOLERANCE = 1e-3  # relative: float32 and short decimals stay well under it
QFORM_TOLERANCE = 1e-2  # in voxels: a turn of nearly 180 degrees costs a float32 quaternion up to 1e-3
DEGREES_FROM_45 = 2.5  # scans of one data set easily differ by as much
SMALLEST_SPACING = 0.01  # mm; microscopes reach it, but then the unit is rather in doubt
LARGEST_SPACING = 20.0  # mm; no scanner's slices are as thick
METRE, MICRON, SPACE_UNIT_MASK = 1, 3, 7  # of xyzt_units
CORRECT_AFFINE = "write the right one into the header"


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a file lie, and what else its header says about it.

    `shape` is the file's `(i, j, k)`, `affine` is in mm. `header` is nibabel's, who takes 0 in pixdim for 1 and drops
    the sign without a word: `pixdim` holds its three sizes as they stand in the file. `findings` is what reading the
    file found odd about its place.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    header: Nifti1Header
    pixdim: np.ndarray
    findings: tuple[Finding, ...] = ()

    @property
    def sizes(self) -> np.ndarray:
        """Size of a voxel along the file's `(i, j, k)` in mm, by the affine."""
        with np.errstate(over="ignore"):  # to infinity, which makes the affine singular
            return voxel_sizes(self.affine)

    @property
    def stated_sizes(self) -> np.ndarray:
        """The sizes that pixdim states, without those past the last axis of several voxels: nobody fills them in."""
        return np.abs(self.pixdim[: max((axis + 1 for axis in range(3) if self.shape[axis] > 1), default=0)])


def check_affine(grid: Grid) -> list[Finding]:
    """An affine that is not finite, singular or sheared. Without an error, all other checks of the grid can be made."""
    if not np.isfinite(grid.affine).all():
        return [error(Row.SINGULAR_AFFINE, "its affine is not finite", CORRECT_AFFINE)]
    if not grid.sizes.all() or abs(np.linalg.det(grid.affine[:3, :3] / grid.sizes)) < SMALLEST_VOLUME:
        return [error(Row.SINGULAR_AFFINE, "its affine is singular", CORRECT_AFFINE)]
    if grid.header["sform_code"] == 0 and 0 in grid.stated_sizes:
        return [error(Row.SINGULAR_AFFINE, "its affine is singular: no sform, and 0 in pixdim", CORRECT_AFFINE)]
    directions = grid.affine[:3, :3] / grid.sizes
    cosine = np.abs(directions.T @ directions - np.eye(3)).max()
    problem = f"its affine is sheared: two axes meet at {np.degrees(np.arccos(cosine)):.2f} degrees"
    if cosine > LARGEST_SHEAR:
        return [error(Row.SHEARED, problem, "resample it onto a straight grid")]
    if cosine > SHEAR_OF_ROUNDING:
        return [warning(Row.SHEARED, problem, "it is taken for straight; resample it if that is too coarse")]
    return []


def check_header(grid: Grid) -> list[Finding]:
    """All that is odd about a grid but can be lived with, when `check_affine` found no error in it."""
    checks = (_check_obliqueness, _check_codes, _check_qform, _check_pixdim, _check_unit, _check_spacing)
    with np.errstate(invalid="ignore", over="ignore"):  # a header can hold any number
        return [*grid.findings, *(finding for check in checks for finding in check(grid))]


def _check_obliqueness(grid: Grid) -> list[Finding]:
    cosines = np.sort(np.abs(grid.affine[:3, :3] / grid.sizes), axis=0)  # one column an axis of the file
    degrees = np.degrees(np.arctan2(cosines[1], cosines[2])).max()
    if degrees < 45 - DEGREES_FROM_45:
        return []
    problem = f"an axis lies {degrees:.1f} degrees off the body's; from 45 on it is taken for another"
    return [warning(Row.NEAR_45_DEGREES, problem, "resample it along the body's axes if its axes come out swapped")]


def _check_codes(grid: Grid) -> list[Finding]:
    if grid.header["qform_code"] > 0 or grid.header["sform_code"] > 0:
        return []
    problem = "neither qform nor sform is coded: left and right are assumed"
    return [warning(Row.NO_ORIENTATION, problem, "make sure that its first axis runs from right to left")]


def _check_qform(grid: Grid) -> list[Finding]:
    if grid.header["qform_code"] <= 0 or grid.header["sform_code"] <= 0:
        return []
    remedy = "the sform is used; make them equal if it is the wrong one"
    header = grid.header.copy()
    unset = ~np.isfinite(grid.pixdim) | (grid.pixdim == 0)
    header["pixdim"][1:4] = np.where(unset, grid.sizes, np.abs(grid.pixdim))  # what is unset cannot differ
    try:
        difference = np.abs(header.get_qform() - grid.affine)[:3]
    except (HeaderDataError, ValueError) as reason:
        return [warning(Row.QFORM_DIFFERS, f"its qform is invalid ({reason})", remedy)]
    if (difference <= QFORM_TOLERANCE * np.append(grid.sizes, grid.sizes.min())).all():
        return []
    return [warning(Row.QFORM_DIFFERS, "its qform differs from its sform", remedy)]


def _check_pixdim(grid: Grid) -> list[Finding]:
    stated, sizes = grid.stated_sizes, grid.sizes[: len(grid.stated_sizes)]
    remedy = "the affine is used; correct the header if that is the wrong one"
    if not np.isfinite(stated).all() or 0 in stated:
        return [warning(Row.PIXDIM_UNSET, f"its pixdim is not set ({_product(stated)})", remedy)]
    if np.allclose(stated, sizes, rtol=PIXDIM_TOLERANCE, atol=0):
        return []
    problem = f"its pixdim says {_product(stated)} mm, its affine {_product(sizes)} mm"
    return [warning(Row.PIXDIM_DIFFERS, problem, remedy)]


def _check_unit(grid: Grid) -> list[Finding]:
    unit = {METRE: "metres", MICRON: "microns"}.get(int(grid.header["xyzt_units"]) & SPACE_UNIT_MASK)
    if unit is None:
        return []
    problem = f"its header says {unit}, but its affine is read as millimeters"
    return [warning(Row.UNIT, problem, "write the affine in millimetres, or correct the unit")]


def _check_spacing(grid: Grid) -> list[Finding]:
    sizes = grid.sizes[np.array(grid.shape) > 1]  # the thickness of a single slice matters to nobody
    if ((sizes >= SMALLEST_SPACING) & (sizes <= LARGEST_SPACING)).all():
        return []
    return [
        warning(Row.UNLIKELY_SPACING, f"its voxels measure {_product(sizes)} mm", "make sure that it is in millimetres")
    ]


def _product(sizes: np.ndarray) -> str:
    return " x ".join(f"{size:g}" for size in sizes)


def check_slices(shape: tuple[int, int, int], dim: int | None) -> list[Finding]:
    """A single slice for a 3D network. `shape` is the file's `(i, j, k)`."""
    if dim != 3 or 1 not in shape:
        return []
    return [error(Row.SINGLE_SLICE, f"a single slice, shape {shape}, for a 3D network", "use --dim 2")]
