"""From the scores on the network's grid to those on the scan's, a plane at a time."""

from collections.abc import Iterator

import numpy as np

from data_preprocessing.transforms.resample import PlaneResampler
from nnunet_tf.inference.windows.rolling_mean import Slab


class RestoredPlanes:
    """The planes of the cropped scan, resampled from `slabs` of scores that come in order.

    Beside the present slab only those planes of earlier ones are kept that are still needed: usually one. The scores
    are resampled before anything is put into the full shape: the other way round shifts the result. A slab is its first
    plane and the scores `(channels, d, source_rows, w)`: the rows that `resampler` needs, and no others.
    """

    def __init__(self, slabs: Iterator[Slab], resampler: PlaneResampler) -> None:
        self._slabs, self._resampler = slabs, resampler
        self._kept: dict[int, np.ndarray] = {}  # by source plane: (channels, rows, W)
        self._first, self._slab = 0, np.empty((0, 0, 0, 0), np.float32)
        first_and_weights = [resampler.sources(index) for index in range(resampler.depth)]
        self._last = np.array([first + len(weights) - 1 for first, weights in first_and_weights])

    @property
    def depth(self) -> int:
        """How many planes there are."""
        return self._resampler.depth

    @property
    def channels(self) -> int:
        """How many channels the scores have; known when a plane is ready."""
        return self._slab.shape[0]

    def advance(self, index: int) -> int:
        """Makes plane `index` ready, and returns the first plane after it that is not; planes before it are gone.

        Raises ValueError for a slab of other rows than needed, or that does not follow the one before.
        """
        while self._stop <= self._last[index]:
            needed = range(self._resampler.sources(index)[0], self._stop)
            self._kept = {source: self._plane(source).copy() for source in needed}
            follows, (self._first, self._slab) = self._stop, next(self._slabs)
            if self._first != follows or self._slab.shape[2:] != self._resampler.source_plane_shape:
                raise ValueError(f"a slab of shape {self._slab.shape} from plane {self._first} on; {follows} is next")
        return int(np.searchsorted(self._last, self._stop))

    def score(self, index: int, channel: int) -> np.ndarray:
        """Returns one channel of plane `index`, `(rows, W)`, float32. Several threads may ask at once."""
        first, weights = self._resampler.sources(index)
        combined = self._plane(first)[channel] * weights[0]
        for source, weight in enumerate(weights[1:], start=first + 1):
            combined += self._plane(source)[channel] * weight
        return self._resampler.in_plane(combined)

    @property
    def _stop(self) -> int:
        return self._first + self._slab.shape[1]

    def _plane(self, source: int) -> np.ndarray:
        return self._kept[source] if source < self._first else self._slab[:, source - self._first]
