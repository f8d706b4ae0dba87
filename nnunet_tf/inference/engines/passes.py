"""The networks of an engine as one function on windows, with test-time augmentation."""

import itertools
from collections.abc import Sequence

import numpy as np

from data_preprocessing.jobs.free_memory import free_memory
from nnunet_tf.inference.engines.engine import EngineNetwork
from nnunet_tf.inference.volume.decisions import probabilities
from nnunet_tf.inference.windows.flips import Flip
from nnunet_tf.inference.windows.sliding_window import Forward


def make_forward(
    networks: Sequence[EngineNetwork],
    flips: Sequence[Flip] = ((),),
    with_variance: bool = False,
    with_mean: bool = False,
    regions: bool = False,
    windows_at_once: int = 1,
) -> Forward:
    """Returns what `nnunet_tf.inference.windows.forward.make_forward` does of Keras' networks.

    Makes them ready for all flips of `windows_at_once` windows at the same time.
    """
    for network in networks:
        network.prepare(windows_at_once * len(flips), free_memory() // 2 // len(networks))
    flat = len(networks[0].input_shape) == 4
    moments = with_variance or with_mean

    def forward(patches: np.ndarray) -> np.ndarray:
        windows = np.moveaxis(patches[:, 0] if flat else patches, -1, 1)
        passes = list(itertools.product(range(len(windows)), flips))
        sums: list[np.ndarray | None] = [None] * len(windows)
        spreads = [_Moments() for _ in windows]
        for network in networks:
            flipped = (np.ascontiguousarray(_flip(windows[index], flip)) for index, flip in passes)
            for (index, flip), logits in zip(passes, network.infer(flipped), strict=True):
                turned = _flip(logits, flip)
                total = sums[index]
                if total is None:
                    sums[index] = turned.copy()
                else:
                    total += turned
                if moments:
                    spreads[index].add(probabilities(turned.copy(), regions))
        count = len(networks) * len(flips)
        parts = [np.stack([total for total in sums if total is not None])]
        if count > 1:
            parts[0] /= count
        if with_variance:
            parts.append(np.stack([each.spread / count for each in spreads]))
        if with_mean:
            parts.append(np.stack([each.mean for each in spreads]))
        result = np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]
        return result[:, :, np.newaxis] if flat else result

    return forward


class _Moments:
    """Mean of arrays and sum of squared differences from it, by Welford's running update."""

    def __init__(self) -> None:
        self._count = 0
        self.mean: np.ndarray = np.zeros((), np.float32)
        self.spread: np.ndarray = self.mean

    def add(self, values: np.ndarray) -> None:
        self._count += 1
        difference = values - self.mean
        self.mean = self.mean + difference / np.float32(self._count)
        self.spread = self.spread + difference * (values - self.mean)


def _flip(values: np.ndarray, axes: Flip) -> np.ndarray:
    """`values` `(C, *spatial)` with spatial axes turned round: a view."""
    return np.flip(values, tuple(axis + 1 for axis in axes)) if axes else values
