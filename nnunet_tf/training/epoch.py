"""The steps of one epoch."""

import time
from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

from data_preprocessing.errors import UserError
from nnunet_tf.runtime.command_line import raise_if_stopped
from nnunet_tf.runtime.progress import Tracker
from nnunet_tf.training.curve import EpochMetrics
from nnunet_tf.training.settings import TrainingSettings
from nnunet_tf.training.step import TrainingStep

STEPS_BETWEEN_READINGS = 10  # reading the loss waits for the device


def train_epoch(
    step: TrainingStep,
    batches: Iterable[tuple[tf.Tensor, tf.Tensor]],
    epoch: int,
    settings: TrainingSettings,
    tracker: Tracker,
    done_before: int,
) -> EpochMetrics:
    """Trains on all `batches` and returns the metrics, the loss being the mean over all workers.

    `done_before` is how many steps `tracker` knows already. Raises UserError once the loss is no longer a number.
    """
    start = time.monotonic()
    total, loader_seconds, note = tf.zeros(()), 0.0, ""
    stream = iter(batches)
    for index in range(1, settings.steps_per_epoch + 1):
        raise_if_stopped()
        before = time.monotonic()
        batch = next(stream)
        loader_seconds += time.monotonic() - before
        total += step(*batch)
        if index % STEPS_BETWEEN_READINGS == 0 or index == settings.steps_per_epoch:
            running = float(total) / index
            if not np.isfinite(running):
                raise UserError(
                    f"epoch {epoch + 1}: the loss is no longer a number; train again with a lower --learning-rate "
                    "(the model of the last finished epoch, if any, is kept)"
                )
            note = f"epoch {epoch + 1}/{settings.epochs} loss {running:.3f}"
        tracker.update(done_before + index, note=note)
    loss = float(step.group.sum(np.array(float(total)))) / step.group.size / settings.steps_per_epoch
    seconds = time.monotonic() - start
    patches = settings.steps_per_epoch * settings.batch_size * step.group.size
    return EpochMetrics(
        epoch=epoch,
        loss=loss,
        learning_rate=float(step.optimizer.learning_rate),
        seconds=round(seconds, 3),
        loader_seconds=round(loader_seconds, 3),
        patches_per_second=round(patches / seconds, 3),
        loss_scale=_loss_scale(step.optimizer),
    )


def _loss_scale(optimizer: keras.optimizers.Optimizer) -> float | None:
    is_scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    return float(optimizer.dynamic_scale) if is_scaled else None
