"""One training run: from a shard folder to a model folder."""

import time
from contextlib import nullcontext

import keras

from data_preprocessing.files import kept_folder, read_model, write_model
from nnunet_tf.data.pipeline import TrainingBatches, Worker
from nnunet_tf.evaluation.dice import Summary
from nnunet_tf.inference.model_folder import VALIDATION_NAME
from nnunet_tf.runtime.device import Runtime
from nnunet_tf.runtime.progress import track
from nnunet_tf.training.board import Board
from nnunet_tf.training.checkpoint import load_checkpoint, save_checkpoint
from nnunet_tf.training.curve import EpochMetrics, best_epoch, draw_metrics, read_metrics, write_metrics
from nnunet_tf.training.distributed import Group
from nnunet_tf.training.epoch import train_epoch
from nnunet_tf.training.pretrained import load_pretrained
from nnunet_tf.training.settings import Job
from nnunet_tf.training.trained_model import TrainedModel
from nnunet_tf.training.validation import Validation


def train(job: Job, group: Group, runtime: Runtime, resume: bool, threads: int) -> Summary | None:
    """Trains a network, writes the model folder, and returns the Dice of the best model on the fold's validation cases.

    None where the fold has none. Raises UserError when there is nothing to resume from, another run writes there, or
    the loss is no longer a number; the files of the last finished epoch stay.
    """
    with kept_folder(job.folder, "train.py") if group.rank == 0 else nullcontext():
        _train(job, group, runtime, resume, threads)
    if not job.fold.validation:
        return None
    return read_model(job.folder / VALIDATION_NAME, Summary, "train again") if group.rank == 0 else None


def _train(job: Job, group: Group, runtime: Runtime, resume: bool, threads: int) -> None:
    start, settings = time.monotonic(), job.settings
    keras.utils.set_random_seed(settings.seed)
    model = TrainedModel(job, group, loss_scaling=runtime.precision == "mixed_float16")
    first_epoch = load_checkpoint(job.folder, model.state) if resume else 0
    if settings.pretrained and not resume:
        load_pretrained(settings.pretrained, model.network)
    group.broadcast(model.tensors())
    history = read_metrics(job.folder, first_epoch)
    seconds_before = history[-1].total_seconds if history else 0.0
    board = Board(job) if group.rank == 0 else None
    validation = Validation(model.predicting, job.plan, job.shards, job.fold.validation, group)
    epochs = range(first_epoch, settings.epochs)
    batches = TrainingBatches(
        job.shards,
        job.plan,
        job.fold.training,
        settings.batches,
        worker=Worker(group.rank, group.size),
        threads=threads,
        gpu=runtime.gpu,
        epochs=epochs,
    )
    title = f"Training {job.plan.name} fold {settings.fold}"
    with track(title, len(epochs) * settings.steps_per_epoch, "steps", show=group.rank == 0) as tracker:
        for epoch in epochs:
            if out_of_patience(history, settings.patience):
                break
            done_before = (epoch - first_epoch) * settings.steps_per_epoch
            metrics = train_epoch(model.step, batches.epoch(epoch), epoch, settings, tracker, done_before)
            model.refresh()
            summary = validation.scores() if _validates(job, epoch) else None
            if summary:
                dice = {each.name: each.mean_dice for each in summary.classes}
                metrics = metrics.model_copy(update={"dice": dice, "mean_dice": summary.mean_dice or 0.0})
            elapsed = seconds_before + time.monotonic() - start
            history.append(metrics.model_copy(update={"total_seconds": round(elapsed, 3)}))
            if board:
                _save(job, model, history, summary)
                board.write(history[-1], validation.example if summary else None)


def out_of_patience(history: list[EpochMetrics], patience: int | None) -> bool:
    """Returns whether the best validation lies more than `patience` epochs back; never without a patience."""
    best = best_epoch(history)
    return patience is not None and best is not None and history[-1].epoch - best.epoch > patience


def _validates(job: Job, epoch: int) -> bool:
    every, last = job.settings.validate_every, epoch + 1 == job.settings.epochs
    return bool(job.fold.validation) and (last or (every > 0 and (epoch + 1) % every == 0))


def _save(job: Job, model: TrainedModel, history: list[EpochMetrics], summary: Summary | None) -> None:
    best = best_epoch(history)
    is_best = best is None or best.epoch == history[-1].epoch
    model.save(best=is_best)
    if summary and is_best:
        write_model(job.folder / VALIDATION_NAME, summary)
    write_metrics(job.folder, history)
    draw_metrics(job.folder, history)
    # Last: what a killed run has written beyond it is written again, the same, when it is resumed.
    save_checkpoint(job.folder, model.state, epochs_done=history[-1].epoch + 1)
