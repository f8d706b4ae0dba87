"""How much of an image a network sees to predict a patch of it, and what it sees where the image ends."""

from collections.abc import Sequence

import numpy as np

GRAIN = 16  # what four poolings, those of U-Net and TinyUNet, divide by
LEVEL_LOSS = 4  # voxels an axis that two unpadded convolutions with kernel 3 take off
# On the way down at strides 1 to 16, on the way up at 8 to 1.
UNPADDED_LOSS = LEVEL_LOSS * (sum((1, 2, 4, 8, 16)) + sum((8, 4, 2, 1)))


def input_size(patch_size: Sequence[int], lost: int) -> tuple[int, ...]:
    """Returns the size of the input from which a network of four poolings predicts a patch of `patch_size`.

    `lost` is by how much its output is smaller than its input, 0 or `UNPADDED_LOSS`. The patch lies in the middle: as
    many voxels are seen before it as behind. The input is the smallest of which every pooling sees an even size, a
    voxel more where it could not be centred otherwise.

    >>> input_size((388, 389), UNPADDED_LOSS)
    (572, 589)
    """
    sizes = []
    for side in patch_size:
        size = lost + side + (-(lost + side) + _rest(lost)) % GRAIN
        sizes.append(size + (size - side) % 2)
    return tuple(sizes)


def mirrored(index: np.ndarray, size: np.ndarray | int) -> np.ndarray:
    """Returns which voxel of an axis of `size` stands for each `index`: beyond the axis, that of its mirror image.

    The voxel at the border is the mirror, and not repeated.

    >>> mirrored(np.arange(-2, 6), 3).tolist()
    [2, 1, 0, 1, 2, 1, 0, 1]
    """
    period = np.maximum(2 * (np.asarray(size) - 1), 1)
    place = index % period
    return np.minimum(place, period - place)


def _rest(lost: int) -> int:
    """What dividing a fitting input's size by `GRAIN` leaves: what is lost before the last pooling."""
    return LEVEL_LOSS * sum((1, 2, 4, 8)) % GRAIN if lost else 0
