"""Scores of a whole volume from a network that sees one patch, a few planes at a time."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from nnunet_tf.inference.windows.rolling_mean import BYTES, RollingMean, Slab
from nnunet_tf.networks.window import mirrored

BlendMode = Literal["gaussian", "constant"]
Forward = Callable[[np.ndarray], np.ndarray]
"""Windows `(N, *input_size, C)` to scores `(N, channels, *patch)`, both float32; in 2D their depth is 1."""
Corner = tuple[int, ...]
"""Where a patch starts along `(D, H, W)`; negative where the image is smaller than the patch."""
CutOut = Callable[[np.ndarray, Corner], np.ndarray]
"""Image `(D, H, W, C)` and corner of a patch to what the network sees for it."""

SIGMA_SHARE = 1 / 8  # deviation of the Gaussian weight, of the patch size (nnU-Net, Nature Methods 2021, "Inference")
FEWEST_PLANES = 16  # in memory at once, so that the slices of a 2D network are handed on several at a time
AHEAD = 2  # batches computed at the same time, and while their predecessors are added up
AHEAD_BYTES = 2**27  # of their scores; the convolutions of larger ones keep all cores busy by themselves
BATCH_VOXELS = {"cpu": 2**16, "gpu": 2**22}  # of the windows computed at once: the fastest of those tried


@dataclass(frozen=True)
class WindowOptions:
    """How windows cover a volume and are blended.

    `batch_size` is how many windows are computed at once, found from the patch size where None. `memory` is how many
    bytes the sums of a volume may take: past it the volume is worked on in bands, and windows that two of them share
    are computed twice. Where None, `ensemble.SUMS_BYTES`, or less where less is free.
    """

    overlap: float = 0.5
    blend_mode: BlendMode = "gaussian"
    batch_size: int | None = None
    memory: int | None = None


def window_starts(size: int, patch: int, overlap: float) -> list[int]:
    """Returns where the windows of one axis start: evenly spread, the first at 0, the last flush with the end.

    A patch of one voxel, the first axis of a 2D network, covers each voxel once.

    >>> window_starts(10, 4, 0.5)
    [0, 2, 4, 6]
    """
    if size <= patch:
        return [0]
    if patch == 1:
        return list(range(size))
    count = math.ceil((size - patch) / (patch * (1 - overlap))) + 1
    return [round(index * (size - patch) / (count - 1)) for index in range(count)]


def window_corners(
    shape: Sequence[int], patch_size: Sequence[int], overlap: float, rows: slice = slice(None)
) -> list[Corner]:
    """Returns the windows that cover `shape` `(D, H, W)`, those of the first planes first.

    With `rows`, only those that see one of these rows of the second axis. A volume smaller than the patch lies centred
    in its window, the odd voxel at the end.
    """
    starts = []
    for size, patch in zip(shape, patch_size, strict=True):
        before = max(0, patch - size) // 2
        starts.append([start - before for start in window_starts(size, patch, overlap)])
    first, stop, _ = rows.indices(shape[1])
    starts[1] = [start for start in starts[1] if start < stop and start + patch_size[1] > first]
    return list(itertools.product(*starts))


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


def windows_at_once(patch_size: Sequence[int], device: Literal["cpu", "gpu"]) -> int:
    """Returns the batch size for windows of `patch_size`: the largest power of two within `BATCH_VOXELS`."""
    return 2 ** int(math.log2(max(1, BATCH_VOXELS[device] / math.prod(patch_size))))


def sliding_slabs(
    image: np.ndarray,
    patch_size: Sequence[int],
    forward: Forward,
    channels: int,
    options: WindowOptions = WindowOptions(),
    rows: slice = slice(None),
    on_windows: Callable[[int], None] = lambda count: None,
    input_size: Sequence[int] | None = None,
) -> Iterator[Slab]:
    """Yields the scores of `image` `(D, H, W, C)` in slabs, first planes first, each valid until the next is asked for.

    A slab is its first plane and the scores `(channels, d, rows, W)`, float32, overlapping windows averaged with
    `blend_weights`; `rows` is a range of the second axis. `patch_size` has three entries, `(1, h, w)` for a 2D network.
    What lies outside the image is 0 to the network. With an `input_size` larger than `patch_size` the network sees so
    much around each patch, and its mirror image outside the image (the overlap-tile strategy: Ronneberger et al.,
    U-Net, 2015, section 2). `on_windows` is told of each batch done. Memory: the planes of one patch, `mean_bytes`.
    """
    shape = image.shape[:3]
    mean = RollingMean(channels, shape, rows, planes_in_memory(shape[0], patch_size[0]))
    weights = blend_weights(patch_size, options.blend_mode)
    corners = window_corners(shape, patch_size, options.overlap, rows)
    batches = list(_batches(corners, options.batch_size or 1))
    score_bytes = channels * math.prod(patch_size) * len(batches[0]) * BYTES
    ahead = max(1, min(AHEAD, AHEAD_BYTES // score_bytes))
    cut_out: CutOut = partial(cut, patch_size=patch_size)
    if input_size is not None and tuple(input_size) != tuple(patch_size):
        cut_out = partial(cut_mirrored, patch_size=patch_size, input_size=input_size)
    for batch, results in _computed(image, cut_out, batches, forward, ahead):
        for corner, scores in zip(batch, results, strict=True):
            if not mean.holds(corner[0], patch_size[0]):
                yield mean.finished(corner[0])
                mean.drop(corner[0])
            mean.add(corner, scores, weights)
        del results, scores  # not to be kept while the next are waited for
        on_windows(len(batch))
    yield mean.finished(shape[0])


def sliding_window(
    image: np.ndarray,
    patch_size: Sequence[int],
    forward: Forward,
    channels: int,
    options: WindowOptions = WindowOptions(),
    input_size: Sequence[int] | None = None,
) -> np.ndarray:
    """Returns the scores `(D, H, W, channels)` of `sliding_slabs`, all in one array."""
    result = np.empty((*image.shape[:3], channels), np.float32)
    for first, scores in sliding_slabs(image, patch_size, forward, channels, options, input_size=input_size):
        result[first : first + scores.shape[1]] = np.moveaxis(scores, 0, -1)
    return result


def planes_in_memory(depth: int, patch_depth: int) -> int:
    """Returns how many planes of a volume of `depth` planes are summed up at once."""
    return min(depth, max(patch_depth, FEWEST_PLANES))


def cut(image: np.ndarray, corner: Corner, patch_size: Sequence[int]) -> np.ndarray:
    """Returns the window of `image` `(D, H, W, C)` at `corner`: `(*patch_size, C)`, 0 where there is no image."""
    patch = np.zeros((*patch_size, image.shape[3]), np.float32)
    inside = [slice(max(0, start), start + size) for start, size in zip(corner, patch_size, strict=True)]
    seen = image[tuple(inside)]
    before = [max(0, -start) for start in corner]
    patch[tuple(slice(first, first + size) for first, size in zip(before, seen.shape, strict=False))] = seen
    return patch


def cut_mirrored(image: np.ndarray, corner: Corner, patch_size: Sequence[int], input_size: Sequence[int]) -> np.ndarray:
    """Returns what a network sees for the patch of `image` `(D, H, W, C)` at `corner`: `(*input_size, C)`.

    The patch lies in the middle; beyond the image is its mirror image.
    """
    places = []
    for start, patch, size, limit in zip(corner, patch_size, input_size, image.shape, strict=False):
        first = start - (size - patch) // 2
        places.append(mirrored(np.arange(first, first + size), limit))
    return image[np.ix_(*places)].astype(np.float32, copy=False)


def _batches(corners: Sequence[Corner], size: int) -> Iterator[list[Corner]]:
    for start in range(0, len(corners), size):
        yield list(corners[start : start + size])


def _computed(
    image: np.ndarray, cut_out: CutOut, batches: Sequence[list[Corner]], forward: Forward, ahead: int
) -> Iterator[tuple[list[Corner], np.ndarray]]:
    """The batches, in order, with their scores; `ahead` of them are being computed."""
    with ThreadPoolExecutor(ahead) as pool:
        waiting: list[tuple[list[Corner], Future[np.ndarray]]] = []

        def start(batch: list[Corner]) -> None:
            patches = np.stack([cut_out(image, corner) for corner in batch])
            waiting.append((batch, pool.submit(forward, patches)))

        for batch in batches[:ahead]:
            start(batch)
        for index in range(len(batches)):
            done, future = waiting.pop(0)
            scores = future.result()
            if index + ahead < len(batches):
                start(batches[index + ahead])
            yield done, scores
            del future, scores  # as the caller does
