"""The settings of one training run, and the model folder it fills."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import PositiveFloat, PositiveInt

from data_preprocessing.errors import UserError
from data_preprocessing.files import read_model, write_model
from data_preprocessing.plan import Plan, read_plan
from data_preprocessing.task import Strict
from nnunet_tf.data.augmentation import Augmentation
from nnunet_tf.data.folds import Fold

SETTINGS_NAME = "training.json"
CHECKPOINT_NAME = "checkpoint.npz"


class TrainingSettings(Strict):
    """What a run was asked for, kept in the model folder. `batch_size` is that of one worker."""

    fold: int
    folds: int
    epochs: PositiveInt
    steps_per_epoch: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    seed: int
    amp: bool
    deep_supervision: bool
    augmentation: Augmentation
    workers: PositiveInt

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.epochs * self.steps_per_epoch


@dataclass(frozen=True)
class Job:
    """Where a run reads and writes, and what it trains on."""

    shards: Path
    folder: Path
    plan: Plan
    fold: Fold
    settings: TrainingSettings


def check_resume(job: Job) -> None:
    """Raises UserError where the model folder holds no run to go on with, or one of other data or settings.

    More epochs are fine, and another number of workers.
    """
    if not (job.folder / CHECKPOINT_NAME).is_file():
        raise UserError(f"{job.folder / CHECKPOINT_NAME}: no such file; nothing to resume, train without --resume")
    remedy = "train without --resume, which starts over"
    before = read_model(job.folder / SETTINGS_NAME, TrainingSettings, remedy)
    if read_plan(job.folder, remedy).config_hash != job.plan.config_hash:
        raise UserError(f"{job.folder}: the run used shards of another config; {remedy}")
    old, new = (each.model_dump(exclude={"epochs", "workers"}) for each in (before, job.settings))
    differing = [f"{name} was {old[name]}, is {new[name]}" for name in old if old[name] != new[name]]
    if job.settings.epochs < before.epochs:
        differing.append(f"epochs was {before.epochs}, is {job.settings.epochs}")
    if differing:
        raise UserError(
            f"{job.folder / SETTINGS_NAME}: the run had other settings ({'; '.join(differing)}); "
            f"give the same ones, or {remedy}"
        )


def write_settings(folder: Path, settings: TrainingSettings) -> None:
    """Writes the settings into the model folder, atomically."""
    write_model(folder / SETTINGS_NAME, settings)
