"""Cropping a volume to its nonzero region."""

import numpy as np
from scipy import ndimage

Box = tuple[tuple[int, int], ...]
"""Half-open `(start, stop)` an axis."""


def nonzero_mask(image: np.ndarray) -> np.ndarray:
    """Returns the mask `(D, H, W)` of voxels of `image` `(D, H, W, C)` with any channel nonzero, holes filled."""
    return ndimage.binary_fill_holes((image != 0).any(axis=-1))


def bounding_box(mask: np.ndarray) -> Box:
    """Returns the smallest box around the true voxels of `mask`; an empty mask gives the whole extent.

    Filling the holes of a mask does not change its box.
    """
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        occupied = np.flatnonzero(mask.any(axis=others))
        if occupied.size == 0:
            return tuple((0, size) for size in mask.shape)
        box.append((int(occupied[0]), int(occupied[-1]) + 1))
    return tuple(box)


def crop(array: np.ndarray, box: Box) -> np.ndarray:
    """Returns the view of `array` inside `box`; axes after those of the box are kept whole."""
    return array[tuple(slice(start, stop) for start, stop in box)]
