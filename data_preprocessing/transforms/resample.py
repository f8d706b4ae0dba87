"""Separable resampling: one matrix product an axis.

The operator of an axis is the spline interpolation of the identity, so the result is the tensor-product spline of
`skimage.transform.resize(order, mode="edge", anti_aliasing=False)`, at the speed of a matrix product.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

from data_preprocessing.transforms.label_vote import preferred_sides, vote

ANISOTROPY = 3.0  # spacing ratio from which the coarsest axis is resampled apart (nnU-Net, Nature Methods 2021)
NEAREST, LINEAR, CUBIC = 0, 1, 3
NEGLIGIBLE = 1e-9  # of an operator whose rows sum to 1
BLOCK_ROWS = 64
BLOCK_ROWS_OF_PLANES = 16  # a product this small BLAS does on one core: the others do other planes


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
            result = _apply(axis_operator(result.shape[axis], shape[axis], orders[axis]), result, axis, BLOCK_ROWS)
    return result


def _apply(operator: np.ndarray, volume: np.ndarray, axis: int, block_rows: int) -> np.ndarray:
    """`volume` with `axis` multiplied by `operator`, in blocks of rows that each need only the voxels beside them."""
    return _apply_blocks(list(_blocks(operator, block_rows)), volume, axis)


Block = tuple[slice, slice, np.ndarray]
"""Rows of the result, what they need of the source, and the matrix between them."""


def _blocks(operator: np.ndarray, block_rows: int) -> Iterator[Block]:
    for start in range(0, len(operator), block_rows):
        rows = slice(start, min(start + block_rows, len(operator)))
        columns = _used(operator[rows])
        yield rows, columns, np.ascontiguousarray(operator[rows, columns])


def _used(operator: np.ndarray) -> slice:
    """The columns that are not all zero, from the first to the last."""
    used = np.flatnonzero(operator.any(axis=0))
    return slice(int(used[0]), int(used[-1]) + 1)


def _apply_blocks(blocks: Sequence[Block], volume: np.ndarray, axis: int) -> np.ndarray:
    shape = list(volume.shape)
    shape[axis] = blocks[-1][0].stop
    result = np.empty(shape, np.float32)
    depth, height, width = volume.shape
    for rows, columns, block in blocks:
        if axis == 0:
            flat, target = volume.reshape(depth, height * width), result.reshape(len(result), height * width)
            np.matmul(block, flat[columns], out=target[rows])
        elif axis == 1:
            np.matmul(block, volume[:, columns], out=result[:, rows])
        else:
            flat, target = volume.reshape(depth * height, width), result.reshape(depth * height, shape[axis])
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
    """Returns class indices `label` `(D, H, W)` on `shape`, same dtype: linear per class, then the likeliest class.

    Through plane nearest where anisotropic. Spacings in mm as for `resample_image`. Where classes tie, the label of the
    nearest source voxel wins; of voxels equally near, which even factors leave, that on the side of `preferred_sides`.
    """
    if label.shape == tuple(shape):
        return label
    orders = interpolation_orders(LINEAR, spacing, target)
    through, down, across = (_neighbours(*sizes) for sizes in zip(label.shape, shape, orders, strict=True))

    def corners(plane: int) -> tuple[np.ndarray, np.ndarray]:
        """The labels around every point in a plane of the source, `(4, H, W)`, and where these are all the same."""
        rows = (label[plane].take(places, axis=0) for places in (down.first, down.second))
        values = np.stack([row.take(places, axis=1) for row in rows for places in (across.first, across.second)])
        return values, (values[1:] == values[0]).all(axis=0)

    kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    result = np.empty(tuple(shape), label.dtype)
    for index in range(shape[0]):
        needed = (int(through.first[index]), int(through.second[index]))
        kept = {plane: kept[plane] if plane in kept else corners(plane) for plane in needed}
        (first, first_alike), (second, second_alike) = (kept[plane] for plane in needed)
        result[index] = first[0]
        # Almost everywhere all labels around a point are the same: the time does not grow with the number of classes.
        mixed = np.flatnonzero(~(first_alike & second_alike & (first[0] == second[0])))
        y, x = np.divmod(mixed, shape[2])
        labels = np.concatenate([values.reshape(4, -1).take(mixed, axis=1) for values in (first, second)])
        weights = np.multiply.outer(through.weights[:, index], down.weights[:, np.newaxis, y] * across.weights[:, x])
        result[index, y, x] = vote(labels, weights.reshape(labels.shape), preferred_sides(index, y, x))
    return result


@dataclass(frozen=True)
class _Neighbours:
    """The two source voxels beside each point of an axis, and the weight of each, `(2, points)`.

    Where one alone counts it is both, and the second weight is 0.
    """

    first: np.ndarray
    second: np.ndarray
    weights: np.ndarray


def _neighbours(source: int, target: int, order: int) -> _Neighbours:
    operator = axis_operator(source, target, order)
    used = operator != 0
    first, second = used.argmax(axis=1), source - 1 - used[:, ::-1].argmax(axis=1)
    points = np.arange(target)
    return _Neighbours(first, second, np.stack([operator[points, first], operator[points, second] * (second > first)]))


class PlaneResampler:
    """Resamples volumes of one shape `(D, H, W)` to another plane by plane, so that neither need be in memory.

    The result is that of `resample`. `orders` are the spline orders of the axes. With `rows`, a range of the second
    axis of the result, only these are made (default: all). `source_rows` are the rows of the source that they need:
    where an axis shrinks, these are not all, with all rows wanted either. Raises ValueError for a range without rows.
    """

    def __init__(
        self, source_shape: Sequence[int], shape: Sequence[int], orders: Sequence[int], rows: slice = slice(None)
    ) -> None:
        through, down, across = (axis_operator(*sizes) for sizes in zip(source_shape, shape, orders, strict=True))
        if rows.step not in (None, 1) or not len(down[rows]):
            raise ValueError(f"{rows} is no range of {shape[1]} rows")
        self.source_rows = _used(down[rows])
        operators = {1: down[rows, self.source_rows], 2: across}
        # The axis that shrinks goes first, and one that stays as it is takes no work.
        order = sorted(operators, key=lambda axis: shape[axis] / source_shape[axis])
        self._steps = [
            (axis, list(_blocks(operators[axis], BLOCK_ROWS_OF_PLANES)))
            for axis in order
            if shape[axis] != source_shape[axis]
        ]
        self.source_plane_shape = self.source_rows.stop - self.source_rows.start, source_shape[2]
        self._through = [(planes, row[planes]) for row in through for planes in [_used(row[np.newaxis])]]

    @property
    def depth(self) -> int:
        """How many planes the result has."""
        return len(self._through)

    def sources(self, index: int) -> tuple[int, np.ndarray]:
        """Returns which planes of the source plane `index` of the result needs: the first, and the weight of each."""
        planes, weights = self._through[index]
        return planes.start, weights

    def in_plane(self, plane: np.ndarray) -> np.ndarray:
        """Returns a plane of `source_plane_shape`, float32, resampled along its two axes: `(rows, W)`, float32.

        Raises ValueError for another shape: more rows than `source_rows` would shift the result.
        """
        if plane.shape != self.source_plane_shape:
            raise ValueError(f"a plane of shape {plane.shape} where {self.source_plane_shape} is needed")
        volume = plane[np.newaxis]
        for axis, blocks in self._steps:
            volume = _apply_blocks(blocks, volume, axis)
        return volume[0]


def likeliest_class(scores: Iterable[tuple[int, np.ndarray]], dtype: np.dtype | type) -> np.ndarray:
    """Returns the class whose score is highest, voxel by voxel, as `dtype`; the first of equals.

    `scores` are pairs of class and score, classes ascending: only one score is in memory at a time.
    """
    scores = iter(scores)
    first, score = next(scores)
    best, winner = score.copy(), np.full(score.shape, first, dtype)
    for value, score in scores:
        # A later class is a larger number: far faster than to write where a mask says so.
        np.maximum(winner, np.multiply(score > best, value, dtype=dtype), out=winner)
        np.maximum(best, score, out=best)
    return winner
