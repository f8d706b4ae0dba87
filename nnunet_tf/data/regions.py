"""Which voxels a rotated and scaled patch is sampled from."""

from dataclasses import dataclass

import numpy as np

ROUNDING = 1e-6  # voxels; keeps an unrotated axis from growing by a voxel


@dataclass(frozen=True)
class Regions:
    """A region a patch: `start` and `shape` `(patches, 3)`, int32, voxels `(z, y, x)`.

    `matrix` `(patches, 3, 3)` takes an offset from the centre of the patch to one from the centre of its region.
    """

    start: np.ndarray
    shape: np.ndarray
    matrix: np.ndarray


def source_regions(start: np.ndarray, patch: tuple[int, ...], rotation: np.ndarray, scale: np.ndarray) -> Regions:
    """Returns the smallest regions that hold every voxel between which the patches are interpolated.

    Patch and region have one centre. Without rotation or scaling the region is the patch that begins at `start`.
    """
    size = np.array(patch)
    matrix = rotation_matrices(rotation) * scale[:, np.newaxis, np.newaxis]
    corner = np.abs(matrix) @ ((size - 1) / 2)
    border = np.ceil(corner - (size - 1) / 2 - ROUNDING).astype(np.int32)  # negative where the patch is magnified
    return Regions((start - border).astype(np.int32), (size + 2 * border).astype(np.int32), matrix)


def rotation_matrices(rotation: np.ndarray) -> np.ndarray:
    """Returns matrices `(patches, 3, 3)` on `(z, y, x)` that rotate about x, then y, then z, by radians `(patches, 3)`.

    >>> rotation_matrices(np.array([[np.pi / 2, 0, 0]])).round().astype(int).tolist()
    [[[1, 0, 0], [0, 0, -1], [0, 1, 0]]]
    """
    total = np.broadcast_to(np.eye(3), (len(rotation), 3, 3))
    for axis, (first, second) in enumerate(((1, 2), (0, 2), (0, 1))):
        cosine, sine = np.cos(rotation[:, axis]), np.sin(rotation[:, axis])
        single = np.tile(np.eye(3), (len(rotation), 1, 1))
        single[:, first, first], single[:, first, second] = cosine, -sine
        single[:, second, first], single[:, second, second] = sine, cosine
        total = total @ single
    return total
