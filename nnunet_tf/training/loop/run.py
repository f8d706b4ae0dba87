"""One training run: from a shard folder to a model folder."""

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import keras
import numpy as np

from data_preprocessing.common.files import kept_folder, write_model
from data_preprocessing.common.text import first_few
from nnunet_tf.data.pipeline import TrainingBatches, Worker
from nnunet_tf.evaluation.metrics.dice import Summary
from nnunet_tf.evaluation.summaries.validation_scores import EpochScores, ValidationScores, read_validation
from nnunet_tf.inference.models.folder import VALIDATION_NAME
from nnunet_tf.inference.models.trained_cases import validated_though_learnt
from nnunet_tf.runtime.device import Runtime
from nnunet_tf.runtime.progress import track
from nnunet_tf.training.config.existing_model import clear_older_run
from nnunet_tf.training.config.settings import Job
from nnunet_tf.training.distributed import Group
from nnunet_tf.training.loop.epoch import diverged, train_epoch
from nnunet_tf.training.model.checkpoint import load_checkpoint, save_checkpoint
from nnunet_tf.training.model.training_model import TrainedModel
from nnunet_tf.training.monitoring.metrics import best_epoch, draw_metrics, out_of_patience, read_metrics, write_metrics
from nnunet_tf.training.monitoring.progress import EpochPart, History, Position
from nnunet_tf.training.monitoring.tensorboard import Board
from nnunet_tf.training.monitoring.validation import Validation

TAKEOVER_SECONDS = 60  # in which a worker that was cut off notices that it is no longer the one that writes


def train(job: Job, group: Group, runtime: Runtime, resume: bool, threads: int) -> ValidationScores | None:
    """Trains a network, writes the model folder, and returns the Dice of best and last epoch on the validation cases.

    None where the fold has none. Raises UserError when there is nothing to resume from, another run writes there, or
    the loss is no longer a number; the files of the last finished epoch stay.
    """
    run = Run(job, group, runtime, resume, threads)
    if job.settings.elastic:
        from nnunet_tf.training.loop.elastic import train_elastically

        train_elastically(run)
    else:
        group.broadcast(run.model.tensors())
        run.go_on()
    if not job.fold.validation:
        return None
    return read_validation(job.folder, "train again with --overwrite") if group.rank == 0 else None


class Run:
    """The training of a job by this worker, from its beginning or from the last finished epoch on."""

    def __init__(self, job: Job, group: Group, runtime: Runtime, resume: bool, threads: int) -> None:
        keras.utils.set_random_seed(job.settings.seed)
        self.job, self.group, self.runtime, self.threads = job, group, runtime, threads
        self.model = TrainedModel(job, group, loss_scaling=runtime.precision == "mixed_float16")
        self.first_epoch = load_checkpoint(job.folder, self.model.state) if resume else 0
        if job.settings.pretrained and not resume:
            self.model.load_pretrained(job.settings.pretrained)
            learnt = validated_though_learnt(Path(job.settings.pretrained), job.plan.dataset, job.cases)
            if learnt and group.rank == 0:
                print(
                    f"warning: --pretrained {job.settings.pretrained}: has learned from validation cases of this fold "
                    f"({first_few(sorted(learnt))}), whose Dice will be too high; start from a model of the same fold",
                    file=sys.stderr,
                )
        self.position = Position(tuple(read_metrics(job.folder, self.first_epoch)), EpochPart(self.first_epoch))
        self._last_epoch_ended = time.monotonic()

    def go_on(self, commit: Callable[[], None] | None = None) -> None:
        """Trains from `position` to the end, as a worker of the group as it is now.

        `commit`, if any, is called by all workers after the same steps, with `position` up to date.
        """
        wait_seconds = TAKEOVER_SECONDS if commit else 0
        with kept_folder(self.job.folder, "train.py", wait_seconds) if self.group.rank == 0 else nullcontext():
            self._train(commit)

    def _train(self, commit: Callable[[], None] | None) -> None:
        job, group, settings = self.job, self.group, self.job.settings
        epochs = range(self.position.part.epoch, settings.epochs)
        board = Board(job) if group.rank == 0 else None
        validation = Validation(self.model.predicting, job.plan, job.shards, job.fold.validation, group)
        batches = TrainingBatches(
            job.shards,
            job.plan,
            job.fold.training,
            settings.batches(group.size),
            worker=Worker(group.rank, group.size),
            threads=self.threads,
            gpu=self.runtime.gpu,
            epochs=epochs,
        )

        def commit_part(part: EpochPart) -> None:
            self.position = Position(self.position.history, part)
            if commit:
                commit()

        title = f"Training {job.plan.name} fold {settings.fold}"
        steps = (settings.epochs - self.first_epoch) * settings.steps_per_epoch
        with track(title, steps, "steps", show=group.rank == 0) as tracker:
            for epoch in epochs:
                if out_of_patience(self.position.history, settings.patience):
                    break
                part = self.position.part
                self.model.keep_pace(epoch, part.worker_steps, group.size)
                first_step = settings.steps_left(group.size) - settings.steps_left(group.size, part.worker_steps)
                metrics = train_epoch(
                    self.model.step,
                    batches.epoch(epoch, first_step),
                    part,
                    settings,
                    tracker,
                    (epoch - self.first_epoch) * settings.steps_per_epoch,
                    commit_part if commit else None,
                )
                self._check_weights(epoch)
                self.model.refresh()
                summary = validation.scores() if _validates(job, epoch) else None
                if summary:
                    dice = {each.name: each.mean_dice for each in summary.classes}
                    metrics = metrics.model_copy(update={"dice": dice, "mean_dice": summary.mean_dice or 0.0})
                history = (*self.position.history, metrics.model_copy(update={"total_seconds": self._total_seconds()}))
                if board:
                    if epoch == 0:
                        clear_older_run(job.folder)
                        board.clear_older_run()
                    _save(job, self.model, history, summary)
                    board.write(history[-1], validation.example if summary else None)
                self.position = Position(history, EpochPart(epoch + 1))
                if commit:
                    commit()

    def _check_weights(self, epoch: int) -> None:
        """Raises UserError in every worker where the last update of one made weights that are no numbers.

        The loss, which is that before the update, does not show it.
        """
        if self.group.sum(np.array(float(not self.model.is_finite()))):
            raise diverged(epoch, "the weights are no longer numbers")

    def _total_seconds(self) -> float:
        """Seconds of the run up to now, those of its parts before a stop included; begins to count the next epoch's."""
        before, start = self.position.history, self._last_epoch_ended
        self._last_epoch_ended = time.monotonic()
        return round((before[-1].total_seconds if before else 0.0) + self._last_epoch_ended - start, 3)


def _validates(job: Job, epoch: int) -> bool:
    every, last = job.settings.validate_every, epoch + 1 == job.settings.epochs
    return bool(job.fold.validation) and (last or (every > 0 and (epoch + 1) % every == 0))


def _save(job: Job, model: TrainedModel, history: History, summary: Summary | None) -> None:
    best = best_epoch(history)
    is_best = best is None or best.epoch == history[-1].epoch
    model.save(best=is_best)
    if summary:
        _write_validation(job, summary, history[-1].epoch, is_best)
    write_metrics(job.folder, history)
    draw_metrics(job.folder, history)
    # Last: what a killed run has written beyond it is written again, the same, when it is resumed.
    save_checkpoint(job.folder, model.state, epochs_done=history[-1].epoch + 1)


def _write_validation(job: Job, summary: Summary, epoch: int, is_best: bool) -> None:
    path, last = job.folder / VALIDATION_NAME, EpochScores.of_summary(summary, epoch)
    if is_best:
        write_model(path, ValidationScores(**dict(summary), epoch=epoch, last=last))
    elif path.is_file():
        write_model(path, read_validation(job.folder, "train again with --overwrite").model_copy(update={"last": last}))
