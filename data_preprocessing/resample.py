"""Separable resampling: one matrix product an axis.

The operator of an axis is the spline interpolation of the identity, so the result is the tensor-product spline of
`skimage.transform.resize(order, mode="edge", anti_aliasing=False)`, at the speed of a matrix product.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np
from scipy import ndimage

ANISOTROPY = 3.0  # spacing ratio from which the coarsest axis is resampled apart (nnU-Net, Nature Methods 2021)
NEAREST, LINEAR, CUBIC = 0, 1, 3
NEGLIGIBLE = 1e-9  # of an operator whose rows sum to 1
BLOCK_ROWS = 64
SLAB_VOXELS = 2**22  # voxels that are in memory as class scores at once


def resampled_shape(shape: Sequence[int], spacing: Sequence[float], target: Sequence[float]) -> tuple[int, ...]:
    """Returns `round(shape * spacing / target)` an axis, at least 1; spacings in mm.

    >>> resampled_shape((10, 20, 20), (3.0, 1.0, 1.0), (1.5, 1.0, 0.8))
    (20, 20, 25)
    """
    return tuple(max(1, round(size * mm / wanted)) for size, mm, wanted in zip(shape, spacing, target, strict=True))


def interpolation_orders(order: int, spacing: Sequence[float], target: Sequence[float]) -> tuple[int, ...]:
    """Returns the spline order of each axis: `order`, and nearest along the coarsest axis of anisotropic volumes.

    The case's own `spacing` decides if its max/min is over 3, else that of the `target`.
    """
    orders = [order] * len(spacing)
    for candidate in (spacing, target):
        if max(candidate) / min(candidate) > ANISOTROPY:
            if sorted(candidate)[-2] < max(candidate):  # with two coarsest axes there is no plane (nnU-Net v2)
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
    # A spline reaches along the whole axis, ever more faintly: what changes no float32 result would cost most of the
    # time, as a product with denormal numbers is some twenty times slower.
    operator[np.abs(operator) < NEGLIGIBLE] = 0
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
    """`volume` with `axis` multiplied by `operator`, in blocks of rows that each need only the voxels beside them."""
    shape = list(volume.shape)
    shape[axis] = len(operator)
    result = np.empty(shape, np.float32)
    depth, height, width = volume.shape
    for start in range(0, len(operator), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        used = np.flatnonzero(operator[rows].any(axis=0))
        columns = slice(int(used[0]), int(used[-1]) + 1)
        block = operator[rows, columns]
        if axis == 0:
            flat, target = volume.reshape(depth, height * width), result.reshape(len(operator), height * width)
            np.matmul(block, flat[columns], out=target[rows])
        elif axis == 1:
            np.matmul(block, volume[:, columns], out=result[:, rows])
        else:
            flat, target = volume.reshape(depth * height, width), result.reshape(depth * height, len(operator))
            np.matmul(flat[:, columns], block.T, out=target[:, rows])
    return result


def resample_image(
    image: np.ndarray, shape: Sequence[int], spacing: Sequence[float], target: Sequence[float]
) -> np.ndarray:
    """Returns `image` `(D, H, W, C)` on `shape` `(D, H, W)`: cubic, through plane nearest where anisotropic.

    `spacing` and `target` are the voxel sizes in mm before and after. Each channel is clipped to its own input range.
    """
    if image.shape[:3] == tuple(shape):
        return image
    orders = interpolation_orders(CUBIC, spacing, target)
    channels = []
    for channel in range(image.shape[3]):
        values = image[..., channel]
        resampled = resample(values, shape, orders)
        channels.append(np.clip(resampled, values.min(), values.max(), out=resampled))
    # A single channel, the case of large CT volumes, is not copied once more.
    return channels[0][..., np.newaxis] if len(channels) == 1 else np.stack(channels, axis=-1)


def resample_label(
    label: np.ndarray, shape: Sequence[int], spacing: Sequence[float], target: Sequence[float]
) -> np.ndarray:
    """Returns class indices `label` `(D, H, W)` on `shape`, same dtype: linear a class, then the likeliest class.

    Through plane nearest where anisotropic. Spacings in mm as for `resample_image`.
    """
    if label.shape == tuple(shape):
        return label
    orders = interpolation_orders(LINEAR, spacing, target)

    def scores(planes: slice) -> Iterator[tuple[int, np.ndarray]]:
        source = label[planes]
        for value in np.unique(source):
            yield value, (source == value).astype(np.float32)

    return likeliest_class(scores, label.shape, shape, orders, label.dtype)


Scores = Callable[[slice], Iterable[tuple[int, np.ndarray]]]
"""For a range of source planes: each class that may win there, with its score `(planes, h, w)`, float32."""


def likeliest_class(
    scores: Scores,
    source_shape: Sequence[int],
    shape: Sequence[int],
    orders: Sequence[int],
    dtype: np.dtype | type,
    slab_voxels: int = SLAB_VOXELS,
) -> np.ndarray:
    """Returns, on `shape` `(D, H, W)`, the class whose resampled score is highest; the first of equals.

    Works slab by slab of the first axis and class by class, so that the scores of all classes are never in memory at
    the full shape. `orders` are the spline orders of the axes, 0 or 1: a slab then needs only the planes beside it.
    """
    result = np.empty(tuple(shape), dtype)
    for slab, resampled_scores in _slabs(scores, source_shape, shape, orders, slab_voxels):
        winner = result[slab]
        best = np.full(winner.shape, -np.inf, np.float32)
        for value, resampled in resampled_scores:
            np.copyto(winner, value, where=resampled > best)
            np.maximum(best, resampled, out=best)
    return result


def last_positive(
    scores: Scores,
    source_shape: Sequence[int],
    shape: Sequence[int],
    orders: Sequence[int],
    dtype: np.dtype | type,
    slab_voxels: int = SLAB_VOXELS,
) -> np.ndarray:
    """Returns, on `shape` `(D, H, W)`, the last of the values whose resampled score is over 0; 0 where none is.

    Works slab by slab and value by value, as `likeliest_class` does.
    """
    result = np.zeros(tuple(shape), dtype)
    for slab, resampled_scores in _slabs(scores, source_shape, shape, orders, slab_voxels):
        for value, resampled in resampled_scores:
            np.copyto(result[slab], value, where=resampled > 0)
    return result


def _slabs(
    scores: Scores, source_shape: Sequence[int], shape: Sequence[int], orders: Sequence[int], slab_voxels: int
) -> Iterator[tuple[slice, Iterator[tuple[int, np.ndarray]]]]:
    """The range of target planes of each slab, and the scores resampled to it, one at a time."""
    depth, height, width = shape
    operator = axis_operator(source_shape[0], depth, orders[0])
    slab = max(1, slab_voxels // (height * width))
    for start in range(0, depth, slab):
        rows = operator[start : start + slab]
        yield slice(start, start + slab), _resampled_scores(scores, rows, (len(rows), height, width), orders)


def _resampled_scores(
    scores: Scores, rows: np.ndarray, shape: Sequence[int], orders: Sequence[int]
) -> Iterator[tuple[int, np.ndarray]]:
    used = np.flatnonzero(rows.any(axis=0))
    planes = slice(int(used[0]), int(used[-1]) + 1)
    for value, score in scores(planes):
        along_depth = _apply_operator(rows[:, planes], score, axis=0)
        yield value, resample(along_depth, shape, orders)
