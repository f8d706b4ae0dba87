"""Defaults that the command line needs to know before anything heavy is imported."""

from pathlib import Path
from typing import Literal

OWN_CONFIGS = Path("configs")  # of the working folder: what a user has planned or written
HIGHEST_LABEL = 2**16 - 1  # label numbers take two bytes at most
MAX_VOXELS = 2**31  # of a volume with all its channels: fourteen times 512 x 512 x 600
MAX_VOXELS_VARIABLE = "NNUNET_TF_MAX_VOXELS"  # of the environment, so that child processes have the same limit
FOLDS = 5  # of the cross-validation, as nnU-Net and NVIDIA's have them

Augmentation = Literal["none", "basic", "full", "crops", "flips"]
NetworkName = Literal["nnunet", "unet", "tiny-unet"]
Encoder = Literal["plain", "residual"]  # of nnU-Net's network

AXES = "zyx"  # of the RAS+ volume: foot to head, back to front, left to right
NO_AXES = "none"


def axis_numbers(names: str) -> tuple[int, ...]:
    """Returns the axes (0, 1, 2) of a volume `(z, y, x)` that letters name, in order; none for "none".

    >>> axis_numbers("xz")
    (0, 2)
    """
    return tuple(number for number, name in enumerate(AXES) if name in names)


def known_axes(names: str) -> str:
    """Returns `names` in the order of the axes, or "none"; raises ValueError where they are others."""
    if names != NO_AXES and (not names or set(names) - set(AXES)):
        raise ValueError(f"{names!r} is neither none nor made of the axes z, y and x, such as zy")
    return names if names == NO_AXES else "".join(AXES[number] for number in axis_numbers(names))
