"""From the logits of the network's grid to label numbers on the scan's own."""

from collections.abc import Iterator, Sequence

import numpy as np

from data_preprocessing.plan import Plan, Region
from data_preprocessing.prepare import Placement, restore_label
from data_preprocessing.resample import LINEAR, SLAB_VOXELS, interpolation_orders, last_positive, likeliest_class


def classes_on_grid(
    logits: np.ndarray, shape: Sequence[int], orders: Sequence[int], slab_voxels: int = SLAB_VOXELS
) -> np.ndarray:
    """Returns the likeliest class `(D, H, W)` of `logits` `(d, h, w, classes)` resampled to `shape`.

    The type is uint8, uint16 past 256 classes; `orders` are the spline orders of the axes, 0 or 1.
    """
    classes = logits.shape[3]

    def scores(planes: slice) -> Iterator[tuple[int, np.ndarray]]:
        for index in range(classes):
            yield index, np.ascontiguousarray(logits[planes, ..., index])

    dtype = np.uint8 if classes <= 256 else np.uint16
    return likeliest_class(scores, logits.shape[:3], shape, orders, dtype, slab_voxels)


def regions_on_grid(
    logits: np.ndarray,
    shape: Sequence[int],
    orders: Sequence[int],
    regions: Sequence[Region],
    slab_voxels: int = SLAB_VOXELS,
) -> np.ndarray:
    """Returns label numbers `(D, H, W)` from region `logits` `(d, h, w, regions)` resampled to `shape`, unsigned.

    Where several regions are predicted (sigmoid over 0.5: logit over 0), the last one's value is written; 0 where none
    is. `orders` are the spline orders of the axes, 0 or 1. Source: nnU-Net v2, documentation/region_based_training.md.
    """

    def scores(planes: slice) -> Iterator[tuple[int, np.ndarray]]:
        for index, region in enumerate(regions):
            yield region.value, np.ascontiguousarray(logits[planes, ..., index])

    dtype = np.min_scalar_type(max(region.value for region in regions))
    return last_positive(scores, logits.shape[:3], shape, orders, dtype, slab_voxels)


def restore(logits: np.ndarray, placement: Placement, plan: Plan) -> np.ndarray:
    """Returns label numbers `(z, y, x)` of the whole volume, as the data set's label files have them, or the regions'.

    The logits are resampled to the cropped shape first and only then put into zeros of the full shape: the other way
    round shifts the result. Outside the crop everything is background.
    """
    orders = interpolation_orders(LINEAR, placement.spacing, placement.prepared_spacing)
    if plan.regions:
        return restore_label(regions_on_grid(logits, placement.cropped_shape, orders, plan.regions), placement, plan)
    cropped = classes_on_grid(logits, placement.cropped_shape, orders)
    numbers = np.array(plan.label_values, np.min_scalar_type(max(plan.label_values)))
    return numbers[restore_label(cropped, placement, plan)]
