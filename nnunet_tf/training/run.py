"""One training run: from a shard folder to a model folder."""

import time
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from data_preprocessing.errors import UserError
from data_preprocessing.files import atomic_path
from data_preprocessing.plan import write_plan
from nnunet_tf.data.pipeline import Worker, training_batches
from nnunet_tf.evaluation.dice import Summary
from nnunet_tf.inference.model_folder import WEIGHTS_NAME
from nnunet_tf.networks.unet import build_unet, full_resolution
from nnunet_tf.runtime.device import Runtime
from nnunet_tf.runtime.progress import Tracker, track
from nnunet_tf.training.checkpoint import load_checkpoint, save_checkpoint
from nnunet_tf.training.curve import EpochMetrics, draw_metrics, read_metrics, write_metrics
from nnunet_tf.training.distributed import Group
from nnunet_tf.training.optimizer import make_optimizer
from nnunet_tf.training.settings import Job, TrainingSettings, write_settings
from nnunet_tf.training.step import TrainingStep
from nnunet_tf.training.validation import validate

STEPS_BETWEEN_READINGS = 10  # reading the loss waits for the device


def train(job: Job, group: Group, runtime: Runtime, resume: bool, threads: int) -> Summary:
    """Trains a network, writes the model folder, and returns the Dice of the fold's validation cases.

    Raises UserError when there is nothing to resume from, or the loss is no longer a number; the files of the last
    finished epoch stay.
    """
    plan, settings = job.plan, job.settings
    keras.utils.set_random_seed(settings.seed)
    network = build_unet(
        plan.topology, plan.patch_size, len(plan.channels), len(plan.classes), settings.deep_supervision
    )
    optimizer = make_optimizer(settings.learning_rate, settings.steps, runtime.precision == "mixed_float16")
    step = TrainingStep(network, optimizer, group, batch_dice=plan.dim == 2)
    predictor_network = full_resolution(network) if settings.deep_supervision else network
    first_epoch = load_checkpoint(job.folder, network, optimizer) if resume else 0
    group.broadcast([variable.value for variable in (*network.variables, *optimizer.variables)])
    history = read_metrics(job.folder, first_epoch)
    batches = training_batches(
        job.shards,
        plan,
        job.fold.training,
        settings.batch_size,
        seed=settings.seed + first_epoch,  # a resumed run does not see the first epoch's batches again
        augmentation=settings.augmentation,
        worker=Worker(group.rank, group.size),
        threads=threads,
    )
    title = f"Training {plan.name} fold {settings.fold}"
    total_steps = settings.steps - first_epoch * settings.steps_per_epoch
    with track(title, total=total_steps, unit="steps", show=group.rank == 0) as tracker:
        stream = iter(batches)
        for epoch in range(first_epoch, settings.epochs):
            metrics = _train_epoch(step, stream, epoch, first_epoch, settings, tracker)
            history.append(metrics)
            if group.rank == 0:
                _save(job, predictor_network, network, optimizer, history)
    return validate(job, predictor_network, group)


def _train_epoch(
    step: TrainingStep,
    stream: Iterator[tuple[tf.Tensor, tf.Tensor]],
    epoch: int,
    first_epoch: int,
    settings: TrainingSettings,
    tracker: Tracker,
) -> EpochMetrics:
    start = time.monotonic()
    before = (epoch - first_epoch) * settings.steps_per_epoch
    total, running, note = tf.zeros(()), float("nan"), ""
    for index in range(1, settings.steps_per_epoch + 1):
        total += step(*next(stream))
        if index % STEPS_BETWEEN_READINGS == 0 or index == settings.steps_per_epoch:
            running = float(total) / index
            if not np.isfinite(running):
                raise UserError(
                    f"epoch {epoch + 1}: the loss is no longer a number; train again with a lower --learning-rate "
                    "(the model of the last finished epoch, if any, is kept)"
                )
            note = f"epoch {epoch + 1}/{settings.epochs} loss {running:.3f}"
        tracker.update(before + index, note=note)
    seconds = time.monotonic() - start
    patches = settings.steps_per_epoch * settings.batch_size * settings.workers
    return EpochMetrics(
        epoch=epoch,
        loss=running,
        learning_rate=float(step.optimizer.learning_rate),
        seconds=round(seconds, 3),
        patches_per_second=round(patches / seconds, 3),
    )


def _save(
    job: Job,
    predictor_network: keras.Model,
    network: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    history: list[EpochMetrics],
) -> None:
    # Plan and settings with the weights they belong to: a run stopped before leaves an older model as it was.
    write_plan(job.folder, job.plan)
    write_settings(job.folder, job.settings)
    with atomic_path(job.folder / WEIGHTS_NAME) as temporary:
        try:
            predictor_network.save_weights(temporary)
        except RuntimeError as error:  # h5py's, of a full disk
            raise OSError(str(error)) from None
    write_metrics(job.folder, history)
    draw_metrics(job.folder, history)
    save_checkpoint(job.folder, network, optimizer, epochs_done=history[-1].epoch + 1)
