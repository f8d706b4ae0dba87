"""One training step: forward, backward, all-reduce, update."""

import keras
import tensorflow as tf

from nnunet_tf.training.distributed import Group
from nnunet_tf.training.optimization.average import WeightAverage
from nnunet_tf.training.optimization.losses import SegmentationLoss


class TrainingStep:
    """Callable on a batch; returns the loss, a float32 scalar tensor, before the update it makes.

    With `xla` forward and backward are compiled into one program for the GPU, into two where the loss asks the other
    workers in between. `average`, if any, follows the weights.
    """

    def __init__(
        self,
        network: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        group: Group,
        loss: SegmentationLoss,
        average: WeightAverage | None = None,
        xla: bool = False,
    ) -> None:
        self.network, self.optimizer, self.group, self.loss, self.average = network, optimizer, group, loss, average
        # Horovod's operations cannot be compiled.
        self._gradients = tf.function(
            self._loss_and_gradients, jit_compile=xla and not loss.crosses_workers, reduce_retracing=True
        )
        self._parts = self._loss_parts
        if xla and loss.crosses_workers:
            self._parts = tf.function(self._loss_parts, jit_compile=True, reduce_retracing=True)
        optimizer.build(network.trainable_variables)

    @tf.function(reduce_retracing=True)
    def __call__(self, image: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
        """Trains on image `(N, *input_size, C)` and class indices `(N, *patch)`."""
        loss, gradients = self._gradients(image, label)
        gradients = self.group.mean_gradients(gradients)
        before = tf.identity(self.optimizer.iterations.value)
        self.optimizer.apply(gradients, self.network.trainable_variables)
        if self.average:
            # An update that overflowed in float16 is skipped, and is none to the average either.
            tf.cond(self.optimizer.iterations.value > before, self.average.update, lambda: None)
        return loss

    def _loss_and_gradients(self, image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            loss = self.loss.from_parts(*self._parts(image, label))
            scaled = self.optimizer.scale_loss(loss)
        weights = [variable.value for variable in self.network.trainable_variables]
        return loss, tape.gradient(scaled, weights)

    def _loss_parts(self, image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        outputs = self.network(image, training=True)
        return self.loss.parts(outputs if isinstance(outputs, list) else [outputs], label)
