"""Where the patches of an epoch lie: which case, and which voxel of it comes first."""

from dataclasses import dataclass

import numpy as np

from nnunet_tf.data.sampling.shard_index import Volumes

FOREGROUND_EVERY = 3  # patches, one is centred on a foreground voxel (nnU-Net, Nature Methods 2021, methods)


@dataclass(frozen=True)
class Places:
    """A place a patch: `case` `(patches,)`, and `start` `(patches, 3)`, its first voxel `(z, y, x)`.

    `start` is negative where a volume smaller than the patch gets padded.
    """

    case: np.ndarray
    start: np.ndarray


def draw_places(
    volumes: Volumes,
    patch: tuple[int, ...],
    batches: int,
    batch_size: int,
    batch_volumes: int,
    first: int,
    random: np.random.Generator,
) -> Places:
    """Returns the places of `batches` times `batch_size` patches of size `patch` `(z, y, x)`.

    The patches of a batch come from `batch_volumes` cases, drawn by permutation, as many from each as can be.
    A third of them, `on_foreground` counted from patch `first` of the run on, is centred on a foreground voxel, its
    class drawn uniformly, then the voxel; the others lie anywhere in the volume.
    """
    drawn = draw_cases(len(volumes.names), batches, batch_volumes, random)
    case = drawn[:, np.arange(batch_size) * batch_volumes // batch_size].reshape(-1)
    margin = volumes.shapes[case] - patch
    lowest = -(np.maximum(-margin, 0) // 2)
    highest = lowest + np.maximum(margin, 0)
    start = random.integers(lowest, highest, endpoint=True)
    row = random.integers(volumes.foreground_rows[case])
    forced = on_foreground(first, batches * batch_size)
    for index in np.unique(case[forced]):
        samples = np.flatnonzero(forced & (case == index))
        voxels = volumes.foreground_voxels(index, row[samples])
        centred = np.clip(voxels - np.array(patch) // 2, lowest[samples], highest[samples])
        start[samples] = np.where(voxels < 0, start[samples], centred)
    return Places(case, start)


def draw_cases(count: int, batches: int, batch_volumes: int, random: np.random.Generator) -> np.ndarray:
    """Returns case numbers `(batches, batch_volumes)`: permutations of all `count` cases, one after the other.

    No case comes twice in a batch unless there are too few.
    """
    order: list[int] = []
    while len(order) < batches * batch_volumes:
        begun = set(order[len(order) // batch_volumes * batch_volumes :])
        # The cases of the batch that the last permutation has begun go to the end of the next one.
        order += sorted(random.permutation(count).tolist(), key=lambda case: case in begun)
    return np.array(order[: batches * batch_volumes]).reshape(batches, batch_volumes)


def on_foreground(first: int, count: int) -> np.ndarray:
    """Returns which of `count` patches of a run, from patch `first` on, are centred on foreground, `(count,)`.

    It is every third: a third of a run whatever the size of its batches and however many workers share them, and one
    patch at least of every global batch of three or more.
    """
    return np.arange(first, first + count) % FOREGROUND_EVERY == 0
