"""The settings of one training run, and the model folder it fills."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, NonNegativeInt, PositiveInt

from data_preprocessing.errors import UserError
from data_preprocessing.files import read_model, write_model
from data_preprocessing.plan import Plan, read_plan
from data_preprocessing.task import Strict
from nnunet_tf.choices import Augmentation, FoldName
from nnunet_tf.data.folds import Fold
from nnunet_tf.data.settings import BatchSettings
from nnunet_tf.networks.settings import NetworkSettings
from nnunet_tf.training.recipe import LossSettings, OptimizerSettings

SETTINGS_NAME = "training.json"
CHECKPOINT_NAME = "checkpoint.npz"
# What a resumed run may do otherwise than before.
FREE_ON_RESUME = {
    "epochs",
    "workers",
    "validate_every",
    "patience",
    "read_roi",
    "xla",
    "fp16_allreduce",
    "pretrained",
    "elastic",
}


class TrainingSettings(Strict):
    """What a run was asked for, kept in the model folder. `batch_size` is that of one worker.

    With `elastic` the run may have another number of workers than `workers`, which the other numbers are for.
    """

    fold: FoldName
    folds: int
    epochs: PositiveInt
    steps_per_epoch: PositiveInt
    batch_size: PositiveInt
    seed: int
    amp: bool
    workers: PositiveInt
    network: NetworkSettings
    loss: LossSettings
    optimizer: OptimizerSettings
    augmentation: Augmentation
    read_roi: bool | None = None
    volumes: PositiveInt | None = None
    validate_every: NonNegativeInt = 0
    patience: PositiveInt | None = None
    pretrained: str | None = None
    xla: bool = False
    fp16_allreduce: bool = False
    elastic: bool = False

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.epochs * self.steps_per_epoch

    def steps_left(self, size: int, worker_steps: int = 0) -> int:
        """Returns how many steps are left of an epoch for `size` workers, after `worker_steps` steps of one worker.

        An epoch has as many patches with any number of workers, or a few more where they cannot be shared out evenly.
        """
        return math.ceil((self.steps_per_epoch * self.workers - worker_steps) / size)

    def batches(self, size: int) -> BatchSettings:
        """Returns what the input pipeline of one of `size` workers needs to know."""
        return BatchSettings(
            batch_size=self.batch_size,
            steps_per_epoch=self.steps_left(size),
            seed=self.seed,
            augmentation=self.augmentation,
            read_roi=self.read_roi,
            volumes=self.volumes,
            network=self.network,
        )


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

    More epochs are fine, and what else is in `FREE_ON_RESUME`.
    """
    if not (job.folder / CHECKPOINT_NAME).is_file():
        raise UserError(f"{job.folder / CHECKPOINT_NAME}: no such file; nothing to resume, train without --resume")
    remedy = "train without --resume, which starts over"
    before = read_model(job.folder / SETTINGS_NAME, TrainingSettings, remedy)
    if read_plan(job.folder, remedy).config_hash != job.plan.config_hash:
        raise UserError(f"{job.folder}: the run used shards of another config; {remedy}")
    old, new = (dict(_flat(each)) for each in (before, job.settings))
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


def _flat(settings: BaseModel) -> Iterator[tuple[str, object]]:
    for name, value in settings:
        if isinstance(value, BaseModel):
            yield from _flat(value)
        elif name not in FREE_ON_RESUME:
            yield name, value
