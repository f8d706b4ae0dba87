"""What a prediction consists of, drawn plane by plane into arrays of the whole volume."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_preprocessing.planning.plan import Plan
from data_preprocessing.shards.prepare import Placement, cropped_view

FULL = 65535  # probability 1 in 16 bits: half of float32's size, and finer than any use of it


@dataclass(frozen=True)
class Wanted:
    """What is wanted beside the labels: `probabilities` is the NPY file to keep them in, the caller's to delete."""

    probabilities: Path | None = None
    uncertainty: bool = False


@dataclass(frozen=True)
class Prediction:
    """The segmentation of a volume, on its grid `(z, y, x)`.

    `labels` are label numbers, uint8 or uint16. `probabilities` `(outputs, z, y, x)`, uint16 with 65535 for 1, are
    those of the plan's classes or regions, mapped from their file: in memory they would be the largest array there is.
    `entropy`, float32, is that of the mean probabilities in nats: at most the logarithm of the number of classes, and
    for regions the sum over them. `spread`, float32, is the standard deviation over flips, folds and configurations of
    the probability of what was predicted. Outside the nonzero box all three say that the background is certain.
    """

    labels: np.ndarray
    probabilities: np.ndarray | None
    entropy: np.ndarray | None
    spread: np.ndarray | None


class Canvas:
    """The arrays of a prediction of `shape` `(z, y, x)`, drawn by planes and rows of the cropped box in network order.

    `numbers` are what is written for each decision: the label number of each class; or 0 and the value of each region.
    Several threads may draw at once, as long as no two draw in one place.
    """

    def __init__(
        self, shape: tuple[int, ...], placement: Placement, plan: Plan, numbers: np.ndarray, wanted: Wanted
    ) -> None:
        self.wanted = wanted
        self._placement, self._plan, self._numbers = placement, plan, numbers
        self._labels = np.full(shape, numbers[0])
        self._entropy, self._spread = (np.zeros(shape, np.float32) if wanted.uncertainty else None for _ in range(2))
        if wanted.probabilities is not None:
            size = (plan.outputs, *shape)
            kept = np.lib.format.open_memmap(wanted.probabilities, mode="w+", dtype=np.uint16, shape=size)
            if not plan.regions:
                kept[0] = FULL

    def draw_decisions(self, plane: int, rows: slice, decisions: np.ndarray) -> None:
        """Writes labels where `decisions` `(rows, W)` are indices of `numbers`."""
        self._view(self._labels)[plane, rows] = self._numbers[decisions]

    def draw_probabilities(self, plane: int, rows: slice, probabilities: np.ndarray) -> None:
        """Writes `probabilities` `(outputs, rows, W)` into the file, where they are wanted."""
        if self.wanted.probabilities is None:
            return
        # Opened for each plane: what is mapped for longer counts as memory of this process.
        kept = np.load(self.wanted.probabilities, mmap_mode="r+", allow_pickle=False)
        for output, values in zip(kept, probabilities, strict=True):
            self._view(output)[plane, rows] = np.rint(values * FULL)

    def draw_uncertainty(self, plane: int, rows: slice, entropy: np.ndarray, spread: np.ndarray) -> None:
        """Writes `entropy` and `spread`, `(rows, W)`, where uncertainty is wanted."""
        for whole, values in ((self._entropy, entropy), (self._spread, spread)):
            if whole is not None:
                self._view(whole)[plane, rows] = values

    def prediction(self) -> Prediction:
        """Returns what has been drawn."""
        path = self.wanted.probabilities
        kept = None if path is None else np.load(path, mmap_mode="r", allow_pickle=False)
        return Prediction(self._labels, kept, self._entropy, self._spread)

    def _view(self, whole: np.ndarray) -> np.ndarray:
        return cropped_view(whole, self._placement, self._plan)
