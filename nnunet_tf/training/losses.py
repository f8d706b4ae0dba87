"""Losses on logits, in float32 and plain Keras operations."""

import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from nnunet_tf.training.recipe import LossSettings

SMOOTH = 1e-5
DICE_FROM = 0.3  # Dice loss under which the adaptive loss is the Dice loss

SegmentationLoss = Callable[[Sequence[keras.KerasTensor], keras.KerasTensor], keras.KerasTensor]


def make_loss(settings: LossSettings, regions: Sequence[Sequence[int]] | None = None) -> SegmentationLoss:
    """Returns the loss of a network's outputs, a function to a float32 scalar: 0 is perfect.

    It takes a list of logits `(N, *spatial, channels)`, full resolution first, and class indices `(N, *patch)`, and is
    the mean over the outputs, weighted by 2^-level. A smaller output is compared with the middle voxel of each block of
    the target. The loss of one output is the mean cross-entropy, or focal loss, plus the soft Dice loss over each
    sample or, with `batch_dice`, over this worker's batch as one. With `adaptive` it is one of the two: the
    cross-entropy, and the Dice loss from where that is under 0.3 (NVIDIA's UNet Industrial, its program).

    Without `regions` the channels are classes: softmax, and Dice without the background unless `include_background`.
    `regions` holds, for each channel, the class indices it is the union of: sigmoids, binary cross-entropy over all
    voxels and channels, and Dice of all channels. Sources: nnU-Net (Nature Methods 2021, "Training"); Lin et al., Focal
    Loss, 2017 (gamma 2, all classes alike).
    """

    def loss(outputs: Sequence[keras.KerasTensor], target: keras.KerasTensor) -> keras.KerasTensor:
        weights = [2.0**-level for level in range(len(outputs))]
        losses = [output_loss(logits, _downsample(target, logits)) for logits in outputs]
        return sum(weight * each for weight, each in zip(weights, losses, strict=True)) / sum(weights)

    def output_loss(logits: keras.KerasTensor, target: keras.KerasTensor) -> keras.KerasTensor:
        # As (N, voxels, channels): sums over one axis take half the time of those over three.
        voxels, channels = math.prod(logits.shape[1:-1]), logits.shape[-1]
        logits = ops.cast(ops.reshape(logits, (-1, voxels, channels)), "float32")
        target = ops.cast(ops.reshape(target, (-1, voxels)), "int32")
        if regions is None:
            truth = ops.one_hot(target, channels, dtype="float32")
            log_probabilities = ops.log_softmax(logits, axis=-1)
            probabilities = ops.exp(log_probabilities)
            cross_entropy = -ops.sum(truth * log_probabilities, axis=-1)
        else:
            truth = _multi_hot(target, regions)
            probabilities = ops.sigmoid(logits)
            cross_entropy = ops.binary_crossentropy(truth, logits, from_logits=True)
        if settings.loss == "dice_focal":
            # The probability of the truth is exp(-cross-entropy), with two classes as with many.
            cross_entropy = ops.square(ops.expm1(-cross_entropy)) * cross_entropy
        dice = _soft_dice(probabilities, truth, settings.batch_dice)
        drop_background = regions is None and not settings.include_background
        dice_loss = 1 - ops.mean(dice[..., 1:] if drop_background else dice)
        if settings.loss == "adaptive":
            return ops.where(dice_loss < DICE_FROM, dice_loss, ops.mean(cross_entropy))
        return ops.mean(cross_entropy) + dice_loss

    return loss


def _soft_dice(probabilities: keras.KerasTensor, truth: keras.KerasTensor, batch_dice: bool) -> keras.KerasTensor:
    """Returns the soft Dice `(N, channels)`, or `(channels,)` of the whole batch; inputs `(N, voxels, channels)`."""
    axes = (0, 1) if batch_dice else 1
    intersection = ops.sum(probabilities * truth, axis=axes)
    total = ops.sum(probabilities, axis=axes) + ops.sum(truth, axis=axes)
    return (2 * intersection + SMOOTH) / (total + SMOOTH)


def _multi_hot(target: keras.KerasTensor, regions: Sequence[Sequence[int]]) -> keras.KerasTensor:
    """Returns `(N, voxels, regions)`: 1 where the class index is of the region."""
    beyond = max(max(region) for region in regions) + 1  # every class above those named is of no region
    table = np.zeros((beyond + 1, len(regions)), np.float32)
    for channel, region in enumerate(regions):
        table[list(region), channel] = 1
    return ops.take(table, ops.minimum(target, beyond), axis=0)


def _downsample(target: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    """Returns the middle voxel of each block of `target` that a voxel of `logits` covers; of an even block, the one
    behind the middle (nnU-Net v2, `nearest-exact`).

    Raises ValueError where a size of the target is no multiple of the output's.
    """
    sizes = [(size, wanted) for size, wanted in zip(target.shape[1:], logits.shape[1:-1], strict=True)]
    if any(size % wanted for size, wanted in sizes):
        raise ValueError(f"logits {tuple(logits.shape)}: no blocks of the target {tuple(target.shape)}")
    steps = [size // wanted for size, wanted in sizes]
    return target[(slice(None), *(slice(step // 2, None, step) for step in steps))]
