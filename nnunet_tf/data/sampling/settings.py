"""What training asks of its batches."""

from dataclasses import dataclass, field

from nnunet_tf.choices import Augmentation
from nnunet_tf.networks.settings import NetworkSettings


@dataclass(frozen=True)
class BatchSettings:
    """The batches of a run. `batch_size` is that of one worker.

    `read_roi` says whether only the wanted region of a volume is read (None: yes, it costs no more where volumes are
    small); `volumes` how many different volumes the slices of a worker's 2D batch come from (None: a volume for each
    slice); `network` how much is seen around a patch.
    """

    batch_size: int
    steps_per_epoch: int
    seed: int
    augmentation: Augmentation
    read_roi: bool | None = None
    volumes: int | None = None
    network: NetworkSettings = field(default_factory=NetworkSettings)
