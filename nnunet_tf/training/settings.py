"""The settings of one training run, and the model folder it fills."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import PositiveFloat, PositiveInt

from data_preprocessing.files import write_model
from data_preprocessing.plan import Plan
from data_preprocessing.task import Strict
from nnunet_tf.data.augmentation import Augmentation
from nnunet_tf.data.folds import Fold

SETTINGS_NAME = "training.json"


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


def write_settings(folder: Path, settings: TrainingSettings) -> None:
    """Writes the settings into the model folder, atomically."""
    write_model(folder / SETTINGS_NAME, settings)
