"""What one measurement was asked for, kept in its report."""

from typing import Literal

from pydantic import NonNegativeInt, PositiveInt

from data_preprocessing.common.task import Dimensions, Strict
from nnunet_tf.choices import Augmentation, BenchmarkMode, DataSource
from nnunet_tf.networks.settings import NetworkSettings


class BenchmarkSettings(Strict):
    """`batch_size` is that of one worker; `patch_size` is in network axis order, voxels; `precision` Keras' policy.

    `augmentation` is null where the data are synthetic.
    """

    mode: BenchmarkMode
    dim: Dimensions
    task: str
    device: Literal["cpu", "gpu"]
    workers: PositiveInt
    batch_size: PositiveInt
    precision: str
    xla: bool
    data: DataSource
    augmentation: Augmentation | None
    patch_size: tuple[PositiveInt, ...]
    channels: PositiveInt
    outputs: PositiveInt
    features: tuple[PositiveInt, ...]
    network: NetworkSettings
    warmup_steps: NonNegativeInt
    steps: PositiveInt
