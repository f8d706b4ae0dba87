"""Defaults that the command line needs to know before anything heavy is imported."""

from typing import Literal

FOLDS = 5  # of the cross-validation, as nnU-Net and NVIDIA's have them

Augmentation = Literal["none", "basic", "full", "crops", "flips"]
NetworkName = Literal["nnunet", "unet", "tiny-unet"]
Encoder = Literal["plain", "residual"]  # of nnU-Net's network
