"""Logits of a whole volume from a network that sees one patch."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np

BlendMode = Literal["gaussian", "constant"]
Forward = Callable[[np.ndarray], np.ndarray]
"""Patches `(N, *patch, C)` to logits `(N, *patch, classes)`."""

SIGMA_SHARE = 1 / 8  # deviation of the Gaussian weight, of the patch size (nnU-Net, Nature Methods 2021, "Inference")


def window_starts(size: int, patch: int, overlap: float) -> list[int]:
    """Returns where the windows of one axis start: evenly spread, the first at 0, the last flush with the end.

    >>> window_starts(10, 4, 0.5)
    [0, 2, 4, 6]
    """
    if size <= patch:
        return [0]
    count = math.ceil((size - patch) / (patch * (1 - overlap))) + 1
    return [round(index * (size - patch) / (count - 1)) for index in range(count)]


def blend_weights(patch_size: Sequence[int], mode: BlendMode) -> np.ndarray:
    """Returns the weight of each voxel of a window, float32 `patch_size`: all ones, or a Gaussian with maximum 1.

    The Gaussian is centred, its deviation an eighth of the patch an axis; zeros become its smallest positive value.
    """
    weights = np.ones(tuple(patch_size), np.float64)
    if mode == "gaussian":
        for axis, size in enumerate(patch_size):
            distance = (np.arange(size) - (size - 1) / 2) / (size * SIGMA_SHARE)
            profile = np.exp(-0.5 * distance**2)
            weights *= np.expand_dims(profile, [other for other in range(len(patch_size)) if other != axis])
        weights /= weights.max()
    narrow = weights.astype(np.float32)
    narrow[narrow == 0] = narrow[narrow > 0].min()
    return narrow


def sliding_window(
    image: np.ndarray,
    patch_size: Sequence[int],
    forward: Forward,
    classes: int,
    overlap: float = 0.5,
    blend_mode: BlendMode = "gaussian",
    batch_size: int = 1,
) -> np.ndarray:
    """Returns logits `(D, H, W, classes)`, float32, of `image` `(D, H, W, C)`.

    `patch_size` has three entries `(1, h, w)` for a 2D network. Where the image is smaller than the patch it is padded
    with 0, centred, the odd voxel at the end. Overlapping logits are averaged with `blend_weights`.
    """
    padded, inside = pad_to_patch(image, patch_size)
    weights = blend_weights(patch_size, blend_mode)
    total = np.zeros((*padded.shape[:3], classes), np.float32)
    total_weight = np.zeros(padded.shape[:3], np.float32)
    for windows in _batched(_windows(padded.shape[:3], patch_size, overlap), batch_size):
        patches = np.stack([padded[window] for window in windows])
        for window, logits in zip(windows, forward(patches), strict=True):
            total[window] += logits * weights[..., np.newaxis]
            total_weight[window] += weights
    total /= total_weight[..., np.newaxis]
    return total[inside]


def count_windows(shape: Sequence[int], patch_size: Sequence[int], overlap: float) -> int:
    """Returns how many windows a volume of `shape` takes."""
    return math.prod(len(window_starts(size, patch, overlap)) for size, patch in zip(shape, patch_size, strict=True))


def pad_to_patch(image: np.ndarray, patch_size: Sequence[int]) -> tuple[np.ndarray, tuple[slice, ...]]:
    """Returns `image` `(D, H, W, C)` padded with 0 to at least `patch_size`, and where the image lies in it."""
    missing = [max(0, patch - size) for size, patch in zip(image.shape, patch_size, strict=False)]
    before = [amount // 2 for amount in missing]
    inside = tuple(slice(first, first + size) for first, size in zip(before, image.shape, strict=False))
    if not any(missing):
        return image, inside
    widths = [(first, amount - first) for first, amount in zip(before, missing, strict=True)]
    return np.pad(image, [*widths, (0, 0)]), inside


def _windows(shape: Sequence[int], patch_size: Sequence[int], overlap: float) -> Iterator[tuple[slice, ...]]:
    starts = [window_starts(size, patch, overlap) for size, patch in zip(shape, patch_size, strict=True)]
    for corner in itertools.product(*starts):
        yield tuple(slice(start, start + patch) for start, patch in zip(corner, patch_size, strict=True))


def _batched(windows: Iterator[tuple[slice, ...]], size: int) -> Iterator[list[tuple[slice, ...]]]:
    while batch := list(itertools.islice(windows, size)):
        yield batch
