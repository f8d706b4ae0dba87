"""Which voxels a rotated and scaled patch is sampled from."""

from dataclasses import dataclass

import numpy as np

from nnunet_tf.networks.window import mirrored

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

    `scale` is one factor a patch, or one an axis, `(patches, 3)`. Patch and region have one centre. Without rotation or
    scaling the region is the patch that begins at `start`.
    """
    size = np.array(patch)
    matrix = rotation_matrices(rotation) * scale.reshape(len(scale), 1, -1)
    corner = np.abs(matrix) @ ((size - 1) / 2)
    border = np.ceil(corner - (size - 1) / 2 - ROUNDING).astype(np.int32)  # negative where the patch is magnified
    return Regions((start - border).astype(np.int32), (size + 2 * border).astype(np.int32), matrix)


def mirror_regions(regions: Regions, sizes: np.ndarray) -> tuple[Regions, np.ndarray]:
    """Returns the parts of volumes of `sizes` `(patches, 3)` that regions and the mirror images beyond consist of.

    And, int32 `(patches, 3, longest)`, which voxel of such a part each voxel of a region is, along each axis: as many
    entries count as the region is long.
    """
    steps = np.arange(regions.shape.max())
    inside = steps < regions.shape[..., np.newaxis]
    source = mirrored(regions.start[..., np.newaxis] + steps, sizes[..., np.newaxis])
    first = np.where(inside, source, sizes[..., np.newaxis]).min(axis=-1)
    last = np.where(inside, source, 0).max(axis=-1)
    order = np.where(inside, source - first[..., np.newaxis], 0).astype(np.int32)
    parts = Regions(first.astype(np.int32), (last + 1 - first).astype(np.int32), regions.matrix)
    return parts, order


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
