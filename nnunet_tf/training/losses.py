"""Losses on logits, in float32 and plain Keras operations."""

from collections.abc import Sequence

import keras
from keras import ops

SMOOTH = 1e-5


def dice_and_cross_entropy(
    logits: keras.KerasTensor, target: keras.KerasTensor, batch_dice: bool = False
) -> keras.KerasTensor:
    """Returns cross-entropy plus soft Dice loss, a scalar: 0 is perfect.

    `logits` `(N, *spatial, classes)`, `target` class indices `(N, *spatial)`. Dice is without the background, over each
    sample or, with `batch_dice`, over the batch as one. Source: nnU-Net (Nature Methods 2021, "Training").
    """
    logits = ops.cast(logits, "float32")
    one_hot = ops.one_hot(target, logits.shape[-1], dtype="float32")
    log_probabilities = ops.log_softmax(logits, axis=-1)
    cross_entropy = -ops.mean(ops.sum(one_hot * log_probabilities, axis=-1))
    return cross_entropy + soft_dice_loss(ops.exp(log_probabilities), one_hot, batch_dice)


def soft_dice_loss(probabilities: keras.KerasTensor, one_hot: keras.KerasTensor, batch_dice: bool) -> keras.KerasTensor:
    """Returns one minus the mean soft Dice of the foreground classes; both inputs `(N, *spatial, classes)`."""
    axes = tuple(range(0 if batch_dice else 1, len(one_hot.shape) - 1))
    probabilities, one_hot = probabilities[..., 1:], one_hot[..., 1:]
    intersection = ops.sum(probabilities * one_hot, axis=axes)
    total = ops.sum(probabilities, axis=axes) + ops.sum(one_hot, axis=axes)
    return 1 - ops.mean((2 * intersection + SMOOTH) / (total + SMOOTH))


def deep_supervision_loss(
    outputs: Sequence[keras.KerasTensor], target: keras.KerasTensor, batch_dice: bool = False
) -> keras.KerasTensor:
    """Returns the mean of `dice_and_cross_entropy` over all outputs, full resolution first, weighted by 2^-level.

    The target is brought to each output's size by taking every second (fourth, ...) voxel.
    """
    weights = [2.0**-level for level in range(len(outputs))]
    losses = [dice_and_cross_entropy(logits, _downsample(target, logits), batch_dice) for logits in outputs]
    return sum(weight * loss for weight, loss in zip(weights, losses, strict=True)) / sum(weights)


def _downsample(target: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    steps = [
        slice(None, None, size // wanted) for size, wanted in zip(target.shape[1:], logits.shape[1:-1], strict=True)
    ]
    return target[(slice(None), *steps)]
