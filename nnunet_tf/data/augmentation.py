"""Random changes to a patch, as DALI operators: the same definition for CPU and GPU.

Each step draws its parameters first and then applies them, to image and label alike where it moves voxels. A step that
a sample does not draw is not computed for it (DALI's conditional execution), so these functions need a pipeline with
`enable_conditionals=True`.
"""

from typing import Literal

from nvidia.dali import fn, types
from nvidia.dali.data_node import DataNode

Augmentation = Literal["none", "basic"]

NOISE_PROBABILITY, NOISE_DEVIATION = 0.1, (0.0, 0.1)
BRIGHTNESS_PROBABILITY, BRIGHTNESS_FACTOR = 0.15, (0.75, 1.25)
MIRROR_PROBABILITY = 0.5


def augment(image: DataNode, label: DataNode, spatial_axes: int) -> tuple[DataNode, DataNode]:
    """Returns image and label patches `(D, H, W, C)` after the random steps, in the order of nnU-Net.

    With `spatial_axes` 2 the first axis, of length 1, is left alone. Probabilities and ranges: nnU-Net (Nature Methods
    2021, supplementary note 4).
    """
    image = _add_noise(image)
    image = _change_brightness(image)
    return _mirror(image, label, spatial_axes)


def _add_noise(image: DataNode) -> DataNode:
    if fn.random.coin_flip(probability=NOISE_PROBABILITY, dtype=types.BOOL):
        image = fn.noise.gaussian(image, stddev=fn.random.uniform(range=NOISE_DEVIATION))
    return image


def _change_brightness(image: DataNode) -> DataNode:
    if fn.random.coin_flip(probability=BRIGHTNESS_PROBABILITY, dtype=types.BOOL):
        image = image * fn.random.uniform(range=BRIGHTNESS_FACTOR)
    return image


def _mirror(image: DataNode, label: DataNode, spatial_axes: int) -> tuple[DataNode, DataNode]:
    directions = ("horizontal", "vertical", "depthwise")[:spatial_axes]
    flips = {name: fn.random.coin_flip(probability=MIRROR_PROBABILITY) for name in directions}
    return fn.flip(image, **flips), fn.flip(label, **flips)
