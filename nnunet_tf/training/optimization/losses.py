"""Losses on logits, in float32 and plain Keras operations."""

import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from nnunet_tf.training.config.loss_and_optimizer import LossSettings

SMOOTH = 1e-5
DICE_FROM = 0.3  # Dice loss under which the adaptive loss is the Dice loss


def make_loss(
    settings: LossSettings,
    regions: Sequence[Sequence[int]] | None = None,
    sum_over_workers: Callable[[keras.KerasTensor], keras.KerasTensor] | None = None,
) -> "SegmentationLoss":
    """Returns the loss of a network's outputs, a function to a float32 scalar: 0 is perfect.

    It takes a list of logits `(N, *spatial, channels)`, full resolution first, and class indices `(N, *patch)`, and is
    the mean over the outputs, weighted by 2^-level. A smaller output is compared with the middle voxel of each block of
    the target. The loss of one output is the mean cross-entropy, or focal loss, plus the soft Dice loss over each
    sample or, with `batch_dice`, over the global batch as one. With `adaptive` it is one of the two: the
    cross-entropy, and the Dice loss from where that of the global batch is under 0.3 (NVIDIA's UNet Industrial, its
    program).

    Without `regions` the channels are classes: softmax, and Dice without the background unless `include_background`.
    `regions` holds, for each channel, the class indices it is the union of: sigmoids, binary cross-entropy over all
    voxels and channels, and Dice of all channels. Sources: nnU-Net (Nature Methods 2021, "Training"); Lin et al., Focal
    Loss, 2017 (gamma 2, all classes alike).

    `sum_over_workers` adds up a tensor over the workers that share the global batch, gradients included; None where
    one has all of it. The mean of the workers' gradients is then that of one worker with the whole batch.
    """
    return SegmentationLoss(settings, regions, sum_over_workers)


class SegmentationLoss:
    """The loss that `make_loss` describes, in two parts: what one worker computes, and what needs all of them."""

    def __init__(
        self,
        settings: LossSettings,
        regions: Sequence[Sequence[int]] | None,
        sum_over_workers: Callable[[keras.KerasTensor], keras.KerasTensor] | None,
    ) -> None:
        self.settings, self.regions = settings, regions
        needs_all = settings.batch_dice or settings.loss == "adaptive"
        self._sum_over_workers = sum_over_workers if needs_all else None

    @property
    def crosses_workers(self) -> bool:
        """Whether `from_parts` asks the other workers."""
        return self._sum_over_workers is not None

    def __call__(self, outputs: Sequence[keras.KerasTensor], target: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the loss of `outputs`."""
        return self.from_parts(*self.parts(outputs, target))

    def parts(
        self, outputs: Sequence[keras.KerasTensor], target: keras.KerasTensor
    ) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Returns, of this worker's batch, the mean cross-entropy of each output, `(outputs,)`, and the sums that Dice
        is made of, `(outputs, 2, N, channels)`: of the intersection, and of prediction and truth. With batch Dice `N`
        is 1.
        """
        parts = [self._output_parts(logits, _downsample(target, logits)) for logits in outputs]
        cross_entropies, sums = zip(*parts, strict=True)
        return ops.stack(cross_entropies), ops.stack(sums)

    def from_parts(self, cross_entropy: keras.KerasTensor, sums: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the loss that `parts` come to, together with those of the other workers."""
        if self.settings.batch_dice and self._sum_over_workers:
            sums = self._sum_over_workers(sums)
        dice = (2 * sums[:, 0] + SMOOTH) / (sums[:, 1] + SMOOTH)
        drop_background = self.regions is None and not self.settings.include_background
        dice_loss = 1 - ops.mean(dice[..., 1:] if drop_background else dice, axis=(1, 2))
        losses = cross_entropy + dice_loss
        if self.settings.loss == "adaptive":
            losses = ops.where(self._of_global_batch(dice_loss) < DICE_FROM, dice_loss, cross_entropy)
        weights = 2.0 ** -np.arange(losses.shape[0], dtype=np.float32)
        return ops.sum(losses * (weights / weights.sum()))

    def _output_parts(
        self, logits: keras.KerasTensor, target: keras.KerasTensor
    ) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        # As (N, voxels, channels): sums over one axis take half the time of those over three.
        voxels, channels = math.prod(logits.shape[1:-1]), logits.shape[-1]
        logits = ops.cast(ops.reshape(logits, (-1, voxels, channels)), "float32")
        target = ops.cast(ops.reshape(target, (-1, voxels)), "int32")
        if self.regions is None:
            truth = ops.one_hot(target, channels, dtype="float32")
            log_probabilities = ops.log_softmax(logits, axis=-1)
            probabilities = ops.exp(log_probabilities)
            cross_entropy = -ops.sum(truth * log_probabilities, axis=-1)
        else:
            truth = _multi_hot(target, self.regions)
            probabilities = ops.sigmoid(logits)
            cross_entropy = ops.binary_crossentropy(truth, logits, from_logits=True)
        if self.settings.loss == "dice_focal":
            # The probability of the truth is exp(-cross-entropy), with two classes as with many.
            cross_entropy = ops.square(ops.expm1(-cross_entropy)) * cross_entropy
        axes, keep = ((0, 1), True) if self.settings.batch_dice else (1, False)
        intersection = ops.sum(probabilities * truth, axis=axes, keepdims=keep)
        total = ops.sum(probabilities, axis=axes, keepdims=keep) + ops.sum(truth, axis=axes, keepdims=keep)
        sums = ops.stack([intersection, total])
        return ops.mean(cross_entropy), sums[:, 0] if keep else sums

    def _of_global_batch(self, dice_loss: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the mean of `dice_loss` over the workers; with batch Dice all have the same."""
        if self.settings.batch_dice or not self._sum_over_workers:
            return dice_loss
        together = self._sum_over_workers(ops.append(ops.stop_gradient(dice_loss), 1.0))
        return together[:-1] / together[-1]


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
