"""How far a run is."""

from collections.abc import Sequence
from dataclasses import dataclass

from nnunet_tf.training.monitoring.metrics import EpochMetrics

History = Sequence[EpochMetrics]


@dataclass(frozen=True)
class EpochPart:
    """What is done of epoch `epoch`: `worker_steps`, where a step of `n` workers counts `n`, the sum of their losses,
    and the seconds it took, of which `loader_seconds` were spent waiting for batches.
    """

    epoch: int
    worker_steps: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    loader_seconds: float = 0.0


@dataclass(frozen=True)
class Position:
    """The metrics of the finished epochs, and what is done of the next."""

    history: History
    part: EpochPart
