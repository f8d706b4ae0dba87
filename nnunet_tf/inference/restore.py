"""From the logits of the network's grid to class indices on the scan's own."""

from collections.abc import Sequence

import numpy as np

from data_preprocessing.plan import Plan
from data_preprocessing.prepare import Placement, restore_label
from data_preprocessing.resample import LINEAR, axis_operator, interpolation_orders, resample

SLAB_VOXELS = 2**22  # output voxels that are in memory as floats at once


def classes_on_grid(
    logits: np.ndarray, shape: Sequence[int], orders: Sequence[int], slab_voxels: int = SLAB_VOXELS
) -> np.ndarray:
    """Returns the likeliest class `(D, H, W)` of `logits` `(d, h, w, classes)` resampled to `shape`.

    Works slab by slab and class by class, so that all classes are never in memory at the full shape. The type is uint8,
    uint16 past 256 classes; `orders` are the spline orders of the axes, 0 or 1.
    """
    depth, height, width = shape
    result = np.empty((depth, height, width), np.uint8 if logits.shape[3] <= 256 else np.uint16)
    operator = axis_operator(logits.shape[0], depth, orders[0])
    slab = max(1, slab_voxels // (height * width))
    for start in range(0, depth, slab):
        rows = operator[start : start + slab]
        used = np.flatnonzero(rows.any(axis=0))
        first, last = used[0], used[-1] + 1
        best = None
        for index in range(logits.shape[3]):
            source = np.ascontiguousarray(logits[first:last, ..., index])
            values = np.tensordot(rows[:, first:last], source, axes=1)
            values = resample(values, (len(rows), height, width), orders)
            if best is None:
                best = values
                result[start : start + slab] = 0
            else:
                wins = values > best
                result[start : start + slab][wins] = index
                np.maximum(best, values, out=best)
    return result


def restore(logits: np.ndarray, placement: Placement, plan: Plan) -> np.ndarray:
    """Returns label numbers `(z, y, x)` of the whole volume, as the data set's label files have them.

    The logits are resampled to the cropped shape first and only then put into zeros of the full shape: the other way
    round shifts the result (RULES "Inference"). Outside the crop everything is background.
    """
    orders = interpolation_orders(LINEAR, placement.spacing, placement.prepared_spacing)
    cropped = classes_on_grid(logits, placement.cropped_shape, orders)
    numbers = np.array(plan.label_values, np.uint8 if max(plan.label_values) <= 255 else np.uint16)
    return numbers[restore_label(cropped, placement, plan)]
