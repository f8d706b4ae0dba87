"""One training step: forward, backward, all-reduce, update."""

import keras
import tensorflow as tf

from nnunet_tf.training.distributed import Group
from nnunet_tf.training.losses import deep_supervision_loss


class TrainingStep:
    """Callable on a batch; returns the loss, a float32 scalar tensor, before the update it makes."""

    def __init__(
        self, network: keras.Model, optimizer: keras.optimizers.Optimizer, group: Group, batch_dice: bool
    ) -> None:
        self.network, self.optimizer, self.group, self.batch_dice = network, optimizer, group, batch_dice
        optimizer.build(network.trainable_variables)

    @tf.function(reduce_retracing=True)
    def __call__(self, image: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
        """Trains on image `(N, *patch, C)` and class indices `(N, *patch)`."""
        loss, gradients = self._gradients(image, label)
        # Outside the gradient function: Horovod's operation cannot be compiled with it.
        gradients = self.group.mean_gradients(gradients)
        self.optimizer.apply(gradients, self.network.trainable_variables)
        return loss

    def _gradients(self, image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            outputs = self.network(image, training=True)
            heads = outputs if isinstance(outputs, list) else [outputs]
            loss = deep_supervision_loss(heads, label, self.batch_dice)
            scaled = self.optimizer.scale_loss(loss)
        weights = [variable.value for variable in self.network.trainable_variables]
        return loss, tape.gradient(scaled, weights)
