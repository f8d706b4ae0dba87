"""How far the surfaces of two masks lie apart.

A surface is the set of a mask's voxels with a face neighbour outside, distances are those between voxel centres in mm:
the definitions of Metrics Reloaded (Maier-Hein et al., Nature Methods 2024) and MONAI. DeepMind's surface-distance,
that of the Medical Segmentation Decathlon, weighs triangles between voxels by their area instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

PERCENTILE = 95
ROUNDING = 1e-5  # mm: spacings are float32, and twenty voxels of 0.1 mm must not be farther than 2 mm


@dataclass(frozen=True)
class SurfaceDistances:
    """Distance (mm) of each surface voxel to the nearest of the other surface: `(voxels)` of either mask."""

    of_prediction: np.ndarray
    of_truth: np.ndarray


def surface_distances(
    prediction: np.ndarray, truth: np.ndarray, spacing: Sequence[float], axes: Sequence[int] = (0, 1, 2)
) -> SurfaceDistances:
    """Returns the distances between the surfaces of two masks, bool `(z, y, x)`, neither empty.

    `spacing` in mm `(z, y, x)`; `axes` are those of `surface`. The masks may be cut from larger ones, anywhere as long
    as no voxel of them is cut off.
    """
    predicted, true = surface(prediction, axes), surface(truth, axes)
    shared = predicted & true  # most of them, where the prediction is good: no need to search
    return SurfaceDistances(
        _distances(predicted, shared, _points(true, spacing), spacing),
        _distances(true, shared, _points(predicted, spacing), spacing),
    )


def surface(mask: np.ndarray, axes: Sequence[int] = (0, 1, 2)) -> np.ndarray:
    """Returns the voxels of a mask that have a face neighbour outside of it along `axes`: bool, of its shape.

    Beyond the array is outside. An axis along which the whole image has one voxel only (a slice) is best left out:
    along it everything is surface.
    """
    inside = mask.copy()
    for axis in axes:
        moved, source = np.moveaxis(inside, axis, 0), np.moveaxis(mask, axis, 0)
        moved[1:] &= source[:-1]
        moved[:-1] &= source[1:]
        moved[0] = moved[-1] = False
    return mask ^ inside


def nsd(distances: SurfaceDistances, tolerance: float) -> float:
    """Returns the normalised surface Dice: the share of both surfaces that is within `tolerance` mm of the other.

    Source: Nikolov et al., Clinically applicable segmentation of head and neck anatomy, JMIR 2021.
    """
    limit = tolerance + ROUNDING
    close = sum(int(np.count_nonzero(each <= limit)) for each in (distances.of_prediction, distances.of_truth))
    return close / (distances.of_prediction.size + distances.of_truth.size)


def hd95(distances: SurfaceDistances) -> float:
    """Returns the Hausdorff distance of the 95th percentile, mm: the larger one of the two directions."""
    return float(max(np.percentile(each, PERCENTILE) for each in (distances.of_prediction, distances.of_truth)))


def assd(distances: SurfaceDistances) -> float:
    """Returns the average symmetric surface distance, mm: the mean over the voxels of both surfaces."""
    total = distances.of_prediction.sum() + distances.of_truth.sum()
    return float(total / (distances.of_prediction.size + distances.of_truth.size))


def _distances(voxels: np.ndarray, shared: np.ndarray, others: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Of each of `voxels` to the nearest of the points `others`; those `shared` have distance 0."""
    found = np.zeros(np.count_nonzero(voxels))
    apart = _points(voxels & ~shared, spacing)
    if len(apart):
        # A tree over the surface, not a distance transform: it takes no memory for the volume around it.
        tree = KDTree(others, compact_nodes=False, balanced_tree=False)
        found[: len(apart)] = tree.query(apart)[0]
    return found


def _points(mask: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Where a mask is true, mm `(points, 3)`."""
    found = np.unravel_index(np.flatnonzero(mask), mask.shape)  # several times faster than nonzero
    return np.stack(found, axis=-1) * np.asarray(spacing, np.float64)
