"""The settings of one training run, and the model folder it fills."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import NonNegativeInt, PositiveInt

from data_preprocessing.common.files import write_model
from data_preprocessing.common.task import Strict
from data_preprocessing.planning.plan import Plan
from nnunet_tf.choices import Augmentation, FoldName
from nnunet_tf.data.folds import Fold
from nnunet_tf.data.sampling.settings import BatchSettings
from nnunet_tf.inference.models.trained_cases import TrainedCases
from nnunet_tf.networks.settings import NetworkSettings
from nnunet_tf.runtime.precision import Precision
from nnunet_tf.training.config.loss_and_optimizer import LossSettings, OptimizerSettings

SETTINGS_NAME = "training.json"
CHECKPOINT_NAME = "checkpoint.npz"
CROSS_VALIDATION_NAME = "cross_validation.json"  # beside the folders of the folds
# Rises when batches, loss or best epoch are made in another way: a run does not go on under another number.
METHOD = 2
UNSTATED_METHOD = 1  # of runs from before it was written down


class TrainingSettings(Strict):
    """What a run was asked for, kept in the model folder. `batch_size` is that of one worker.

    `precision` is what `amp` came to on the machine that the run began on, None before it is known.

    With `elastic` the run may have another number of workers than `workers`, which the other numbers are for.
    """

    fold: FoldName
    folds: PositiveInt
    epochs: PositiveInt
    steps_per_epoch: PositiveInt
    batch_size: PositiveInt
    seed: int
    amp: bool
    precision: Precision | None = None
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
    method: int = METHOD

    @property
    def stated_method(self) -> int:
        """The method of the run that settings were read from."""
        return self.method if "method" in self.model_fields_set else UNSTATED_METHOD

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
    """Where a run reads and writes, and what it trains on; `checksums` are those of the shards of each case."""

    shards: Path
    folder: Path
    plan: Plan
    fold: Fold
    settings: TrainingSettings
    checksums: Mapping[str, str] = field(default_factory=dict)

    @property
    def cases(self) -> TrainedCases:
        """The cases of the run, as its model folder keeps them."""
        return TrainedCases.of_fold(self.fold, self.checksums)


def write_settings(folder: Path, settings: TrainingSettings) -> None:
    """Writes the settings into the model folder, atomically."""
    write_model(folder / SETTINGS_NAME, settings)
