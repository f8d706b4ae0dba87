"""The optimiser."""

import keras
import tensorflow as tf
from keras.optimizers.schedules import LearningRateSchedule

from nnunet_tf.training.config.loss_and_optimizer import OptimizerSettings
from nnunet_tf.training.optimization.schedule import make_schedule

LARGEST_GRADIENT_NORM = 12.0  # nnU-Net (Nature Methods 2021, "Training")
WEIGHT_DECAY = {
    "sgd": 3e-5,  # nnU-Net
    "adam": 1e-4,  # NVIDIA's nnU-Net for TensorFlow 2
    "adamw": 1e-2,  # Loshchilov and Hutter, 2019, and PyTorch
    "lion": 1e-2,
    "rmsprop": 1e-5,  # NVIDIA's UNet Industrial
}
RMSPROP_DECAY = 0.9  # of the moving averages of the gradient and its square; NVIDIA's UNet Industrial
NOT_DECAYED = ["gamma", "beta", "bias"]


class Penalty:
    """To inherit from before an optimiser: L2 regularisation, `penalty * weight` added to the clipped gradient.

    Keras' own `weight_decay` bypasses momentum and the moments of Adam: with Nesterov 0.99 it would take a hundred
    times that of nnU-Net to pull as strongly.
    """

    def __init__(self, *arguments: object, penalty: float = 0.0, **settings: object) -> None:
        super().__init__(*arguments, **settings)
        self.penalty = penalty

    def update_step(
        self, gradient: keras.KerasTensor, variable: keras.Variable, learning_rate: keras.KerasTensor
    ) -> None:
        """Updates `variable`, and the optimiser's state of it."""
        if self._use_weight_decay(variable):  # type: ignore[attr-defined] # of keras.optimizers.Optimizer
            gradient = gradient + self.penalty * variable
        super().update_step(gradient, variable, learning_rate)  # type: ignore[misc]

    def get_config(self) -> dict[str, object]:
        """Returns what rebuilds this optimiser."""
        return {**super().get_config(), "penalty": self.penalty}  # type: ignore[misc]


class _AtOnce:
    """To inherit from before Adam: TensorFlow's one operation for the update of a variable, instead of some fifteen.

    Each of those reads and writes as many values as there are weights. Keras' `amsgrad` is not known here.
    """

    def update_step(
        self, gradient: keras.KerasTensor, variable: keras.Variable, learning_rate: keras.KerasTensor
    ) -> None:
        """Updates `variable`, and the optimiser's state of it."""
        index = self._get_variable_index(variable)  # type: ignore[attr-defined] # of keras.optimizers.Optimizer
        step = tf.cast(self.iterations.value + 1, tf.float32)  # type: ignore[attr-defined]
        beta_1, beta_2 = self.beta_1, self.beta_2  # type: ignore[attr-defined]
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(self._momentums[index]),  # type: ignore[attr-defined]
            v=_handle(self._velocities[index]),  # type: ignore[attr-defined]
            beta1_power=tf.pow(beta_1, step),
            beta2_power=tf.pow(beta_2, step),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=self.epsilon,  # type: ignore[attr-defined]
            grad=tf.cast(gradient, tf.float32),
        )


@keras.saving.register_keras_serializable(package="nnunet_tf")
class PenalizedSGD(Penalty, keras.optimizers.SGD):
    """Stochastic gradient descent with L2 regularisation: at a constant rate, the steps of `torch.optim.SGD`."""


@keras.saving.register_keras_serializable(package="nnunet_tf")
class PenalizedAdam(Penalty, _AtOnce, keras.optimizers.Adam):
    """Adam with L2 regularisation, which passes through its moments; AdamW is the one with decoupled weight decay."""


@keras.saving.register_keras_serializable(package="nnunet_tf")
class AdamW(_AtOnce, keras.optimizers.AdamW):
    """Keras' AdamW in fewer operations."""


@keras.saving.register_keras_serializable(package="nnunet_tf")
class PenalizedRMSprop(Penalty, keras.optimizers.RMSprop):
    """RMSProp with L2 regularisation, which passes through its averages."""


def make_optimizer(
    settings: OptimizerSettings, steps: int, loss_scaling: bool, schedule: LearningRateSchedule | None = None
) -> keras.optimizers.Optimizer:
    """Returns the optimiser of a run of `steps`, its learning rate that of `make_schedule` unless `schedule` is given.

    Weight decay is decoupled for `adamw` and `lion` (`weight -= rate * decay * weight`; defaults 1e-2) and L2
    regularisation for `sgd`, `adam` and `rmsprop` (`gradient += decay * weight`, the gradient of `decay / 2` times the
    sum of squares), as in nnU-Net (SGD, 3e-5), NVIDIA's nnU-Net (`adam`, 1e-4) and UNet Industrial (`rmsprop`, centred,
    1e-5). Norms and biases never decay. The norm of the whole gradient is clipped at 12 before. With `loss_scaling`
    (float16) Keras' dynamic loss scaling goes round it: a step whose gradient overflowed is skipped and leaves weights,
    momentum and schedule as they were.

    Sources: Sutskever et al., 2013 (Nesterov); Kingma and Ba, Adam, 2015; Loshchilov and Hutter, Decoupled Weight Decay
    Regularization, 2019; Chen et al., Symbolic Discovery of Optimization Algorithms, 2023 (Lion); Graves,
    Generating Sequences With Recurrent Neural Networks, 2013, equations 38 to 45 (centred RMSProp with momentum).
    """
    optimizer = _unscaled(settings, schedule or make_schedule(settings, steps))
    optimizer.exclude_from_weight_decay(var_names=NOT_DECAYED)
    return keras.optimizers.LossScaleOptimizer(optimizer) if loss_scaling else optimizer


def _handle(variable: keras.Variable | tf.Variable) -> tf.Tensor:
    """What TensorFlow's operations know `variable` by; Keras' optimisers speak of its variables and their own alike."""
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle


def _unscaled(settings: OptimizerSettings, schedule: LearningRateSchedule) -> keras.optimizers.Optimizer:
    decay = WEIGHT_DECAY[settings.optimizer] if settings.weight_decay is None else settings.weight_decay
    common = {"learning_rate": schedule, "global_clipnorm": LARGEST_GRADIENT_NORM}
    if settings.optimizer == "sgd":
        return PenalizedSGD(**common, penalty=decay, momentum=settings.momentum, nesterov=settings.nesterov)
    if settings.optimizer == "adam":
        return PenalizedAdam(**common, penalty=decay)
    if settings.optimizer == "rmsprop":
        return PenalizedRMSprop(**common, penalty=decay, rho=RMSPROP_DECAY, momentum=settings.momentum, centered=True)
    decoupled = AdamW if settings.optimizer == "adamw" else keras.optimizers.Lion
    return decoupled(**common, weight_decay=decay)
