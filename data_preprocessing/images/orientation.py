"""From a file's voxel axes to RAS+ `(z, y, x)` arrays, and back."""

import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform

RAS = np.array([[0, 1], [1, 1], [2, 1]])


def to_ras_zyx(array: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Returns file voxels `(i, j, k, ...)` as a view `(z, y, x, ...)` whose axes run inferior-superior,
    posterior-anterior and left-right: the closest such grid without interpolation."""
    oriented = apply_orientation(array, io_orientation(affine))
    return oriented.transpose(2, 1, 0, *range(3, array.ndim))


def from_ras_zyx(array: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Returns `(z, y, x, ...)` as file voxels `(i, j, k, ...)`: the exact inverse of `to_ras_zyx`."""
    oriented = array.transpose(2, 1, 0, *range(3, array.ndim))
    return apply_orientation(oriented, ornt_transform(RAS, io_orientation(affine)))


def ras_affine(affine: np.ndarray, file_shape: tuple[int, int, int]) -> np.ndarray:
    """Returns the affine (mm, RAS+) of the reoriented voxels `(x, y, z)` of a file with `affine` and `file_shape`."""
    return affine @ inv_ornt_aff(io_orientation(affine), file_shape)


def unit_directions(affine: np.ndarray) -> np.ndarray:
    """Returns the directions (3, 3) in which the voxel axes of a file with `affine` run: columns of length 1."""
    return affine[:3, :3] / voxel_sizes(affine)


def axes_onto(affine: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Returns the orientation (3, 2), as nibabel's, that brings voxels of a file with `affine` into the order of those
    of a file with `reference`: each axis to the closest one.

    Unlike two orientations to RAS+, it does not depend on rounding where both grids lie near 45 degrees.
    """
    cosines = np.eye(4)
    cosines[:3, :3] = unit_directions(reference).T @ unit_directions(affine)
    return io_orientation(cosines)


def in_order_of(shape: tuple[int, ...], affine: np.ndarray, axes: np.ndarray) -> tuple[tuple[int, ...], np.ndarray]:
    """Returns shape `(i, j, k)` and affine of a file whose voxels are brought into another order by `axes`."""
    order = np.argsort(axes[:, 0])
    return tuple(shape[int(axis)] for axis in order), affine @ inv_ornt_aff(axes, shape)


def lay_on(array: np.ndarray, affine: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Returns file voxels `(i, j, k, ...)` as a view `(z, y, x, ...)` on the RAS+ grid that `to_ras_zyx` gives a file
    with `reference`, which may store its voxels in another order."""
    return to_ras_zyx(apply_orientation(array, axes_onto(affine, reference)), reference)


def is_usable(affine: np.ndarray) -> bool:
    """Returns whether an affine (4, 4) gives every voxel a place of its own."""
    if not np.isfinite(affine).all() or not float(np.abs(np.linalg.det(affine[:3, :3]))) > 0:
        return False
    with np.errstate(all="ignore"):  # of sizes near the limits of what a float can hold
        return bool((voxel_sizes(affine) > 0).all() and np.isfinite(io_orientation(affine)).all())


def spacing_zyx(affine: np.ndarray) -> tuple[float, float, float]:
    """Returns the voxel size (mm) along `(z, y, x)` after `to_ras_zyx`: the column norms of the affine."""
    sizes = voxel_sizes(affine)
    axes = io_orientation(affine)[:, 0].astype(int)  # axes[i] is the RAS axis that file axis i runs along
    x, y, z = (float(sizes[int(np.flatnonzero(axes == axis)[0])]) for axis in range(3))
    return z, y, x
