"""The steps of one epoch."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

from data_preprocessing.common.errors import UserError
from nnunet_tf.runtime.progress import Tracker
from nnunet_tf.runtime.stopping import raise_if_stopped
from nnunet_tf.training.config.settings import TrainingSettings
from nnunet_tf.training.monitoring.metrics import EpochMetrics
from nnunet_tf.training.monitoring.progress import EpochPart
from nnunet_tf.training.optimization.step import TrainingStep

STEPS_BETWEEN_READINGS = 10  # reading the loss waits for the device
STEPS_BETWEEN_COMMITS = 20  # a commit copies the network's state on the device

Commit = Callable[[EpochPart], None]


def train_epoch(
    step: TrainingStep,
    batches: Iterable[tuple[tf.Tensor, tf.Tensor]],
    part: EpochPart,
    settings: TrainingSettings,
    tracker: Tracker,
    done_before: int,
    commit: Commit | None = None,
) -> EpochMetrics:
    """Trains on `batches`, those after `part` of the epoch, and returns its metrics, the loss being the mean over all
    workers.

    `done_before` is how many steps `tracker` knew before the epoch. `commit`, if any, is told now and then, by all
    workers after the same step, what is done. Raises UserError once the loss is no longer a number.
    """
    start, loader_seconds, note = time.monotonic(), 0.0, ""
    total = tf.zeros(())
    steps = settings.steps_left(step.group.size, part.worker_steps)

    def done(index: int) -> EpochPart:
        return replace(
            part,
            worker_steps=part.worker_steps + index * step.group.size,
            loss=part.loss + float(step.group.sum(np.array(float(total)))),
            seconds=part.seconds + time.monotonic() - start,
            loader_seconds=part.loader_seconds + loader_seconds,
        )

    stream = iter(batches)
    for index in range(1, steps + 1):
        raise_if_stopped()
        before = time.monotonic()
        batch = next(stream)
        loader_seconds += time.monotonic() - before
        total += step(*batch)
        if index % STEPS_BETWEEN_READINGS == 0 or index == steps:
            running = float(total) / index
            if not np.isfinite(running):
                raise diverged(part.epoch, "the loss is no longer a number")
            note = f"epoch {part.epoch + 1}/{settings.epochs} loss {running:.3f}"
        tracker.update(done_before + (part.worker_steps + index * step.group.size) / settings.workers, note=note)
        if commit and index % STEPS_BETWEEN_COMMITS == 0:
            commit(done(index))
    return _metrics(done(steps), step.optimizer, settings.batch_size)


def diverged(epoch: int, what: str) -> UserError:
    """Returns the error of a run that has gone wrong beyond repair in `epoch`, counted from 0."""
    return UserError(
        f"epoch {epoch + 1}: {what}; train again with a lower --learning-rate, and "
        "--overwrite where an epoch was finished, whose model is kept until then"
    )


def _metrics(part: EpochPart, optimizer: keras.optimizers.Optimizer, batch_size: int) -> EpochMetrics:
    is_scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    return EpochMetrics(
        epoch=part.epoch,
        loss=part.loss / part.worker_steps,
        learning_rate=float(optimizer.learning_rate),
        seconds=round(part.seconds, 3),
        loader_seconds=round(part.loader_seconds, 3),
        patches_per_second=round(part.worker_steps * batch_size / part.seconds, 3),
        loss_scale=float(optimizer.dynamic_scale) if is_scaled else None,
    )
