"""How a network is trained: its loss, optimiser, schedule and average, as settings."""

import math
from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from data_preprocessing.common.task import Strict
from nnunet_tf.choices import Loss, OptimizerName, Scheduler

LONGEST_DEFAULT_WARMUP = 100
DECAY_RATE, DECAY_STEPS = 0.8, 500  # NVIDIA's UNet Industrial

Fraction = Annotated[float, Field(ge=0, lt=1)]


class LossSettings(Strict):
    """What is minimised. `include_background` is of Dice, and means nothing where the network predicts regions."""

    loss: Loss = "dice_ce"
    batch_dice: bool = False
    include_background: bool = False


class OptimizerSettings(Strict):
    """How the weights follow the gradient. `momentum` is that of SGD and RMSProp, `nesterov` that of SGD.

    `decay_rate` and `decay_steps` are those of the schedules `step` and `exponential`.
    """

    optimizer: OptimizerName = "adamw"
    learning_rate: PositiveFloat = Field(description="the highest one, after the warm-up")
    weight_decay: NonNegativeFloat | None = Field(default=None, description="null: that of the optimiser")
    momentum: Fraction = 0.99
    nesterov: bool = True
    scheduler: Scheduler = "cosine"
    decay_rate: Annotated[float, Field(gt=0, le=1)] = DECAY_RATE
    decay_steps: PositiveInt = DECAY_STEPS
    warmup_steps: NonNegativeInt | None = Field(default=None, description="null: a tenth of the steps, at most 100")
    ema: Fraction | None = Field(default=None, description="decay of the averaged weights; null or 0: no average")

    def warmup(self, steps: int) -> int:
        """Returns over how many of a run's `steps` the learning rate rises."""
        return min(LONGEST_DEFAULT_WARMUP, steps // 10) if self.warmup_steps is None else self.warmup_steps


def rate_factor(optimizer: OptimizerName, workers: float) -> float:
    """Returns what the learning rate is multiplied by when the global batch is `workers` times as large.

    Linear for SGD (Goyal et al., Accurate, Large Minibatch SGD, 2017), the root for optimisers that divide by the
    gradient's own size (Malladi et al., On the SDEs and Scaling Rules for Adaptive Gradient Algorithms, 2022).
    """
    return workers if optimizer == "sgd" else math.sqrt(workers)
