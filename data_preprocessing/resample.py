"""Separable resampling: one matrix product an axis.

The operator of an axis is the spline interpolation of the identity, so the result is the tensor-product spline of
`skimage.transform.resize(order, mode="edge", anti_aliasing=False)`, at the speed of a matrix product.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import ndimage

ANISOTROPY = 3.0  # spacing ratio from which the coarsest axis is resampled apart (nnU-Net, Nature Methods 2021)
NEAREST, LINEAR, CUBIC = 0, 1, 3


def resampled_shape(shape: Sequence[int], spacing: Sequence[float], target: Sequence[float]) -> tuple[int, ...]:
    """Returns `round(shape * spacing / target)` an axis, at least 1; spacings in mm.

    >>> resampled_shape((10, 20, 20), (3.0, 1.0, 1.0), (1.5, 1.0, 0.8))
    (20, 20, 25)
    """
    return tuple(max(1, round(size * mm / wanted)) for size, mm, wanted in zip(shape, spacing, target, strict=True))


def interpolation_orders(order: int, spacing: Sequence[float], target: Sequence[float]) -> tuple[int, ...]:
    """Returns the spline order of each axis: `order`, and nearest along the coarsest axis of anisotropic volumes.

    The case's own `spacing` decides if its max/min is over 3, else that of the `target` (RULES "Resampling").
    """
    orders = [order] * len(spacing)
    for candidate in (spacing, target):
        if max(candidate) / min(candidate) > ANISOTROPY:
            orders[int(np.argmax(candidate))] = NEAREST
            break
    return tuple(orders)


@lru_cache(maxsize=64)
def axis_operator(source: int, target: int, order: int) -> np.ndarray:
    """Returns the matrix `(target, source)`, float32, that resamples an axis of `source` voxels to `target` voxels.

    Half-pixel centres, edge extension; `order` 0, 1 or 3.
    """
    identity = np.eye(source)
    columns = [
        ndimage.zoom(column, target / source, order=order, mode="nearest", grid_mode=True) for column in identity
    ]
    operator = np.stack(columns, axis=1).astype(np.float32)
    operator.setflags(write=False)  # shared by all callers through the cache
    return operator


def resample(volume: np.ndarray, shape: Sequence[int], orders: Sequence[int]) -> np.ndarray:
    """Returns `volume` `(D, H, W)` resampled to `shape`, float32, with one spline order an axis."""
    result = np.asarray(volume, np.float32)
    # Axes that shrink go first: what follows then has less to do.
    for axis in sorted(range(3), key=lambda axis: shape[axis] / volume.shape[axis]):
        if shape[axis] != result.shape[axis]:
            result = _apply_operator(axis_operator(result.shape[axis], shape[axis], orders[axis]), result, axis)
    return result


def _apply_operator(operator: np.ndarray, volume: np.ndarray, axis: int) -> np.ndarray:
    depth, height, width = volume.shape
    if axis == 0:
        return (operator @ volume.reshape(depth, height * width)).reshape(-1, height, width)
    if axis == 1:
        return np.matmul(operator, volume)
    return (volume.reshape(depth * height, width) @ operator.T).reshape(depth, height, -1)


def resample_image(
    image: np.ndarray, shape: Sequence[int], spacing: Sequence[float], target: Sequence[float]
) -> np.ndarray:
    """Returns `image` `(D, H, W, C)` on `shape` `(D, H, W)`: cubic, through plane nearest where anisotropic.

    `spacing` and `target` are the voxel sizes in mm before and after. Each channel is clipped to its own input range.
    """
    if image.shape[:3] == tuple(shape):
        return image
    orders = interpolation_orders(CUBIC, spacing, target)
    resampled = np.empty((*shape, image.shape[3]), np.float32)
    for channel in range(image.shape[3]):
        values = image[..., channel]
        np.clip(resample(values, shape, orders), values.min(), values.max(), out=resampled[..., channel])
    return resampled


def resample_label(
    label: np.ndarray, shape: Sequence[int], spacing: Sequence[float], target: Sequence[float]
) -> np.ndarray:
    """Returns class indices `label` `(D, H, W)` on `shape`, same dtype: linear a class, then the likeliest class.

    Through plane nearest where anisotropic. Spacings in mm as for `resample_image`.
    """
    if label.shape == tuple(shape):
        return label
    orders = interpolation_orders(LINEAR, spacing, target)
    best = np.full(tuple(shape), -1.0, np.float32)
    winner = np.zeros(tuple(shape), label.dtype)
    for value in np.unique(label):
        share = resample(label == value, shape, orders)
        wins = share > best
        best[wins] = share[wins]
        winner[wins] = value
    return winner
