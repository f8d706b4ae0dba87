"""The networks of one configuration as one function on NumPy patches, with test-time augmentation."""

import itertools
from collections.abc import Callable, Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

from nnunet_tf.inference.windows.flips import Flip
from nnunet_tf.inference.windows.sliding_window import Forward

LANES = 2  # passes that may run side by side: as fast as all of them, at a fraction of the memory


def make_forward(
    networks: Sequence[keras.Model],
    flips: Sequence[Flip] = ((),),
    with_variance: bool = False,
    with_mean: bool = False,
    regions: bool = False,
    batch_size: int | None = None,
) -> Forward:
    """Returns the function from windows `(N, *input_size, C)` to scores `(N, outputs, *patch)`, float32.

    The networks see windows of one size, and may predict less than they see, its middle. A `batch_size`, where it is
    always the same, lets them take the quickest way.

    The scores are the logits, averaged over all networks and flips, channels first as the blending wants them. With
    `with_variance` as many channels follow: the variance of each output's probability over networks and flips, the
    probability by softmax, or by sigmoid for `regions`; `with_mean` as many again: its mean, which is not the
    probability that the mean logits have. For a 2D network windows and scores have depth 1.
    """
    flat = len(networks[0].input_shape) == 4
    signature = tf.TensorSpec((batch_size, *networks[0].input_shape[1:]), tf.float32)
    passes = list(itertools.product([_flipped(network, batch_size) for network in networks], flips))

    @tf.function(input_signature=[signature])
    def scores(patches: tf.Tensor) -> tf.Tensor:
        logits: list[tf.Tensor] = []
        for run, flip in passes:
            with tf.control_dependencies(logits[-LANES : len(logits) - LANES + 1]):
                logits.append(run(tf.identity(patches), tf.constant([axis + 1 for axis in flip], tf.int32)))
        result = tf.add_n(logits) / len(logits)
        if with_variance or with_mean:
            mean, variance = _moments(map(tf.sigmoid if regions else tf.nn.softmax, logits))
            result = tf.concat(
                [result, *([variance] if with_variance else []), *([mean] if with_mean else [])], axis=-1
            )
        return tf.transpose(result, [0, len(signature.shape) - 1, *range(1, len(signature.shape) - 1)])

    def forward(patches: np.ndarray) -> np.ndarray:
        result = scores(tf.constant(patches[:, 0] if flat else patches))
        with tf.device("CPU:0"):
            # Through the buffer protocol: numpy() would copy the largest array there is.
            result = np.asarray(memoryview(tf.identity(result)))
        return result[:, :, np.newaxis] if flat else result

    return forward


def _flipped(network: keras.Model, batch_size: int | None) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """A network's logits for patches turned round along axes, turned back.

    One graph, called for each flip: on a processor to optimize a copy for each takes longer than computing it.
    """
    signature = [tf.TensorSpec((batch_size, *network.input_shape[1:]), tf.float32), tf.TensorSpec([None], tf.int32)]
    attributes = {} if tf.config.list_logical_devices("GPU") else {"_noinline": True}

    @tf.function(input_signature=signature, experimental_attributes=attributes)
    def run(patches: tf.Tensor, axes: tf.Tensor) -> tf.Tensor:
        return tf.reverse(tf.cast(network(tf.reverse(patches, axes), training=False), tf.float32), axes)

    return run


def _moments(values: Iterable[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance over `values`, by Welford's running update: what they have in common does not cancel."""
    mean = spread = count = 0
    for count, value in enumerate(values, start=1):
        difference = value - mean
        mean = mean + difference / count
        spread = spread + difference * (value - mean)
    return mean, spread / count
