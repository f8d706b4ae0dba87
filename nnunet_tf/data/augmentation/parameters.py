"""How strongly each patch of an epoch is augmented: which steps it draws, and with which parameters."""

from dataclasses import dataclass

import numpy as np

from nnunet_tf.choices import Augmentation


@dataclass(frozen=True)
class Step:
    """A step's probability a patch, and the range its parameter is uniformly drawn from.

    With `balanced` it is below 1 and above 1 equally often, uniformly drawn from either part of the range.
    """

    probability: float
    low: float
    high: float
    balanced: bool = False

    def values(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        """Returns parameters of that shape."""
        if not self.balanced:
            return random.uniform(self.low, self.high, shape)
        below = random.random(shape) < 0.5
        return random.uniform(np.where(below, self.low, 1), np.where(below, 1, self.high))


# nnU-Net, Nature Methods 2021, supplementary note 4, drawn as nnU-Net v2 does; in the order in which they are applied.
ROTATION_PROBABILITY = 0.2
ROTATION_DEGREES = 30.0  # either way, about each axis
ROTATION_DEGREES_2D, ROTATION_DEGREES_2D_OBLONG = 180.0, 15.0
OBLONG = 1.5  # longest over shortest side of a 2D patch, from which on little rotation fits into it
ANISOTROPIC = 3.0  # longest over first side of a 3D patch, from which on it is rotated and scaled in plane only
SCALING = Step(0.2, 0.7, 1.4)
NOISE = Step(0.1, 0.0, 0.1)
BLUR = Step(0.2, 0.5, 1.0)
BRIGHTNESS = Step(0.15, 0.75, 1.25)
CONTRAST = Step(0.15, 0.75, 1.25)
LOW_RESOLUTION = Step(0.25, 0.5, 1.0)
INVERTED_GAMMA = Step(0.1, 0.7, 1.5, balanced=True)
GAMMA = Step(0.3, 0.7, 1.5, balanced=True)
MIRROR_PROBABILITY = 0.5
# NVIDIA's U-Net Medical, of images of unit deviation.
LARGEST_CROP = 0.3  # of what the network sees, at each side
OFFSET = Step(1.0, -0.2, 0.2)
CHANNEL_PROBABILITY = 0.5  # of each channel of a patch that draws blur or low resolution


@dataclass(frozen=True)
class Parameters:
    """A value a patch, or a row; the neutral value stands for a step that is not drawn.

    `rotation` `(patches, 3)`, radians about z, y, x, neutral 0; `scale` `(patches, 3)`, size of the sampled region over
    the patch's along z, y, x, neutral 1; `noise`, deviation, neutral 0; `blur` `(patches, channels, 3)`, sigma in
    voxels along z, y, x, neutral 0; `brightness` and `contrast` `(patches, channels)`, factors, neutral 1;
    `low_resolution` `(patches, channels)`, factor of the size, neutral 1; `inverted_gamma` and `gamma`
    `(patches, channels)`, exponents, neutral 1; `mirror` `(patches, 3)`, along z, y, x, neutral False; `crop`
    `(patches, 3, 2)`, shares along z, y, x that are cut off before and behind, the rest being stretched to its size,
    neutral 0; `offset`, added to the intensities, neutral 0.
    """

    rotation: np.ndarray
    scale: np.ndarray
    noise: np.ndarray
    blur: np.ndarray
    brightness: np.ndarray
    contrast: np.ndarray
    low_resolution: np.ndarray
    inverted_gamma: np.ndarray
    gamma: np.ndarray
    mirror: np.ndarray
    crop: np.ndarray
    offset: np.ndarray


def draw_parameters(
    patches: int, patch: tuple[int, ...], channels: int, augmentation: Augmentation, random: np.random.Generator
) -> Parameters:
    """Returns the parameters of `patches` patches of size `patch` `(z, y, x)`; in 2D the first side is 1.

    "full" draws every step of nnU-Net's table, "basic" noise, brightness and mirroring, "none" nothing. "crops" is the
    augmentation of NVIDIA's U-Net: mirroring, crop and offset; "flips" that of its TinyUNet: mirroring along x and
    quarter turns in plane.
    """
    full, basic = augmentation == "full", augmentation in ("basic", "full")
    crops, flips = augmentation == "crops", augmentation == "flips"

    def draw(step: Step, neutral: float, shape: tuple[int, ...] = (), drawn: bool = full) -> np.ndarray:
        values = step.values((patches, *shape), random)
        chosen = drawn & (random.random((patches, *(1,) * len(shape))) < step.probability)
        return np.where(chosen, values, neutral)

    def draw_some_channels(step: Step, neutral: float, axes: tuple[int, ...] = ()) -> np.ndarray:
        values = draw(step, neutral, (channels, *axes))
        chosen = random.random((patches, channels, *(1,) * len(axes))) < CHANNEL_PROBABILITY
        return np.where(chosen, values, neutral)

    limits = np.radians(rotation_degrees(patch))
    rotated = full & (random.random((patches, 1)) < ROTATION_PROBABILITY)
    rotation = np.where(rotated, random.uniform(-1, 1, (patches, 3)) * limits, 0)
    if flips:
        rotation[:, 0] = random.integers(4, size=patches) * (np.pi / 2)
    sides = np.array(patch) > 1
    mirrored = sides & (augmentation != "none") & (np.arange(3) == 2 if flips else True)
    in_plane = np.array([not is_anisotropic(patch), True, True])
    return Parameters(
        rotation=rotation,
        scale=np.where(in_plane, draw(SCALING, 1)[:, np.newaxis], 1),
        noise=draw(NOISE, 0, drawn=basic),
        blur=draw_some_channels(BLUR, 0, axes=(3,)),
        brightness=draw(BRIGHTNESS, 1, (channels,), basic),
        contrast=draw(CONTRAST, 1, (channels,)),
        low_resolution=draw_some_channels(LOW_RESOLUTION, 1),
        inverted_gamma=draw(INVERTED_GAMMA, 1, (channels,)),
        gamma=draw(GAMMA, 1, (channels,)),
        mirror=mirrored & (random.random((patches, 3)) < MIRROR_PROBABILITY),
        crop=(crops & sides)[:, np.newaxis] * random.uniform(0, LARGEST_CROP, (patches, 3, 2)),
        offset=draw(OFFSET, 0, drawn=crops),
    )


def is_anisotropic(patch: tuple[int, ...]) -> bool:
    """Returns whether a 3D patch is so flat that it is rotated, scaled and lowered in resolution in plane only."""
    return max(patch) / patch[0] > ANISOTROPIC


def rotation_degrees(patch: tuple[int, ...]) -> tuple[float, float, float]:
    """Returns the largest angle about z, y and x for a patch of that size; in 2D the first side is 1."""
    if patch[0] == 1:
        oblong = max(patch[1:]) / min(patch[1:]) > OBLONG
        return ROTATION_DEGREES_2D_OBLONG if oblong else ROTATION_DEGREES_2D, 0.0, 0.0
    if is_anisotropic(patch):
        return ROTATION_DEGREES_2D, 0.0, 0.0
    return (ROTATION_DEGREES,) * 3
