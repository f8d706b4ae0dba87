"""Choose the slices of a segmentation that show most of it."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage


def best_slices(labels: np.ndarray, numbers: Sequence[int]) -> tuple[int, int, int]:
    """Returns the index along each axis of `labels` `(z, y, x)` that shows most structure. Without any, the middle.

    Of each structure counts the area in the slice by the largest that any slice has; small structures count less, by
    the square root of their volume. So a small one decides among slices that show as much of the large ones, and does
    not draw the choice to their outermost slice.
    """
    shares = [np.zeros(size) for size in labels.shape]
    boxes = ndimage.find_objects(labels)
    found = []
    for number in numbers:
        box = boxes[number - 1] if number <= len(boxes) else None
        if box is not None:
            mask = labels[box] == number
            found.append((box, [np.count_nonzero(mask, axis=others) for others in ((1, 2), (0, 2), (0, 1))]))
    if not found:
        z, y, x = (size // 2 for size in labels.shape)
        return z, y, x
    largest = max(int(areas[0].sum()) for _, areas in found)
    for box, areas in found:
        weight = np.sqrt(areas[0].sum() / largest)
        for axis, side in enumerate(box):
            shares[axis][side] += weight * areas[axis] / areas[axis].max()
    z, y, x = (_middle_of_best(share) for share in shares)
    return z, y, x


def _middle_of_best(share: np.ndarray) -> int:
    """The middle one of the slices that show as much as the best."""
    best = np.flatnonzero(share >= share.max() - 1e-9)
    return int(best[len(best) // 2])
