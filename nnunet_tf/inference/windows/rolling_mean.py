"""The weighted mean of overlapping windows, of which only the planes that are still worked on are in memory."""

from collections.abc import Sequence

import numpy as np

Slab = tuple[int, np.ndarray]
"""First plane, and values `(channels, d, rows, W)`, float32."""

BYTES = 4  # float32


def mean_bytes(channels: int, planes: int, rows: int, width: int) -> int:
    """Returns the bytes that a `RollingMean` of these sizes takes."""
    return (channels + 1) * planes * rows * width * BYTES


class RollingMean:
    """Sums windows, weighted, in `planes` planes of a volume `(D, H, W)`, beginning with the first.

    Windows come in the order of their first plane. Of the second axis only `rows` are kept; what lies outside them or
    the volume is cut off.
    """

    def __init__(self, channels: int, shape: Sequence[int], rows: slice, planes: int) -> None:
        self._first = 0
        self._start, self._stop, _ = rows.indices(shape[1])
        self._shape = (shape[0], self._stop - self._start, shape[2])
        self._sums = np.zeros((channels, planes, *self._shape[1:]), np.float32)
        self._weights = np.zeros(self._sums.shape[1:], np.float32)

    def holds(self, start: int, depth: int) -> bool:
        """Returns whether a window of `depth` planes from plane `start` fits into those in memory."""
        return min(start + depth, self._shape[0]) <= self._first + len(self._weights)

    def add(self, corner: Sequence[int], values: np.ndarray, weights: np.ndarray) -> None:
        """Adds a window's `values` `(channels, d, h, w)`, which starts at `corner` of the volume, by its `weights`."""
        target, source = [], []
        for start, size, limit in zip(
            (corner[0] - self._first, corner[1] - self._start, corner[2]), weights.shape, self._limits(), strict=True
        ):
            target.append(slice(max(0, start), min(start + size, limit)))
            source.append(slice(target[-1].start - start, target[-1].stop - start))
        part = weights[tuple(source)]
        self._weights[tuple(target)] += part
        weighted = np.empty_like(part)
        for sums, channel in zip(self._sums, values, strict=True):  # one channel fits into the processor's cache
            np.multiply(channel[tuple(source)], part, out=weighted)
            sums[tuple(target)] += weighted

    def finished(self, stop: int) -> Slab:
        """Returns the mean of the planes before `stop`, which no more windows may touch; valid until `drop`."""
        count = stop - self._first
        weights = self._weights[:count]
        for sums in self._sums[:, :count]:
            np.divide(sums, weights, out=sums)
        return self._first, self._sums[:, :count]

    def drop(self, stop: int) -> None:
        """Forgets the planes before `stop` and makes room for as many more."""
        count = stop - self._first
        for planes in (*self._sums, self._weights):
            planes[:-count] = planes[count:]
            planes[-count:] = 0
        self._first = stop

    def _limits(self) -> tuple[int, int, int]:
        planes = min(len(self._weights), self._shape[0] - self._first)
        return planes, self._shape[1], self._shape[2]
