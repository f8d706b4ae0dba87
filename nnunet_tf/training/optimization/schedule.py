"""Learning rates over the steps of a run."""

import keras
from keras import ops
from keras.optimizers import schedules

from nnunet_tf.training.config.loss_and_optimizer import OptimizerSettings

POLY_POWER = 0.9  # nnU-Net (Nature Methods 2021, "Training")
CYCLES = 3
CYCLE_GROWTH = 2  # each cycle is so many times as long as the one before


@keras.saving.register_keras_serializable(package="nnunet_tf")
class LinearWarmup(schedules.LearningRateSchedule):
    """Rises to the first rate of `schedule` over `warmup_steps`, then follows it: step `warmup_steps` is its step 0.

    Step `i` of the warm-up has `(i + 1) / (warmup_steps + 1)` of that rate, so that no step is lost to a rate of 0.
    Source: Goyal et al., Accurate, Large Minibatch SGD, 2017, section 2.2 ("gradual warmup").
    """

    def __init__(self, schedule: schedules.LearningRateSchedule, warmup_steps: int) -> None:
        self.schedule, self.warmup_steps = schedule, warmup_steps

    def __call__(self, step: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the rate of the update that follows `step` others, a float32 scalar."""
        step = ops.cast(step, "float32")
        rising = ops.minimum((step + 1) / (self.warmup_steps + 1), 1.0)
        return rising * self.schedule(ops.maximum(step - self.warmup_steps, 0.0))

    def get_config(self) -> dict[str, object]:
        """Returns what rebuilds this schedule."""
        return {"schedule": schedules.serialize(self.schedule), "warmup_steps": self.warmup_steps}

    @classmethod
    def from_config(cls, config: dict) -> "LinearWarmup":
        """Returns the schedule of `get_config`."""
        return cls(schedules.deserialize(config["schedule"]), config["warmup_steps"])


class PacedSchedule(schedules.LearningRateSchedule):
    """`schedule`, which is over the steps of as many workers as the run was planned for, with another number of them.

    What is left of it is gone through at another pace, so that it ends with the run, and every rate is multiplied by a
    factor. Its numbers are variables: a step that is traced already follows them.
    """

    def __init__(self, schedule: schedules.LearningRateSchedule) -> None:
        self.schedule = schedule
        self._updates, self._place, self._pace, self._factor = (
            keras.Variable(value, dtype="float32", trainable=False) for value in (0.0, 0.0, 1.0, 1.0)
        )

    def change(self, updates: float, place: float, pace: float, factor: float) -> None:
        """After `updates` updates stands at step `place` of the schedule, and goes on by `pace` of its steps each."""
        for variable, value in zip(
            (self._updates, self._place, self._pace, self._factor), (updates, place, pace, factor), strict=True
        ):
            variable.assign(value)

    def __call__(self, step: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the rate of the update that follows `step` others, a float32 scalar."""
        done = ops.cast(step, "float32") - self._updates
        return self._factor * self.schedule(self._place + done * self._pace)

    def get_config(self) -> dict[str, object]:
        """Returns what rebuilds this schedule, at its beginning."""
        return {"schedule": schedules.serialize(self.schedule)}


def make_schedule(settings: OptimizerSettings, steps: int) -> schedules.LearningRateSchedule:
    """Returns the learning rate of each of a run's `steps`: a linear warm-up, then over the `n` steps left one of

    - `none`: the same rate throughout.
    - `poly`: `rate * (1 - i / n)^0.9`. Source: nnU-Net (Nature Methods 2021, "Training").
    - `cosine`: `rate * (1 + cos(pi * i / n)) / 2`. Source: Loshchilov and Hutter, SGDR, 2017, section 3.
    - `cosine_annealing`: three such cosines, each twice as long as the one before; the first takes a seventh of the `n`
      steps, so that the run ends as the third cycle does, where the rate is next to 0. Source: the same, with
      `T_mult = 2`.

    - `exponential`: `rate * decay_rate^(i / decay_steps)`.
    - `step`: the same with whole numbers of `decay_steps` done: 0.8 times the rate every 500 steps unless told, as in
      NVIDIA's UNet Industrial.

    `poly` and the cosines are 0 after the last step (`cosine_annealing`: next to 0). Where the run is shorter than its
    warm-up, the rate rises to its end.
    """
    warmup = settings.warmup(steps)
    return LinearWarmup(_decay(settings, max(steps - warmup, 1)), warmup)


def _decay(settings: OptimizerSettings, steps: int) -> schedules.LearningRateSchedule:
    rate = settings.learning_rate
    if settings.scheduler == "poly":
        return schedules.PolynomialDecay(rate, steps, end_learning_rate=0.0, power=POLY_POWER)
    if settings.scheduler == "cosine":
        return schedules.CosineDecay(rate, steps)
    if settings.scheduler == "cosine_annealing":
        first_cycles = sum(CYCLE_GROWTH**cycle for cycle in range(CYCLES))  # all of them, counted in the first
        # One step more than the run has: `steps` itself, read after the last one, is not yet the next restart.
        return schedules.CosineDecayRestarts(rate, (steps + 1) / first_cycles, t_mul=float(CYCLE_GROWTH))
    if settings.scheduler in ("step", "exponential"):
        in_steps = settings.scheduler == "step"
        return schedules.ExponentialDecay(rate, settings.decay_steps, settings.decay_rate, staircase=in_steps)
    return schedules.PolynomialDecay(rate, steps, end_learning_rate=rate)  # from the rate to the rate: constant
