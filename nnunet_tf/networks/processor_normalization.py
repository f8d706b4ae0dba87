"""Instance normalisation on a processor, made of TensorFlow's batch normalisation of one sample at a time.

That reads and writes the voxels a few times only, in their own precision: for the large samples that decide, forward
and backward take a third to a half of the time of plain operations (`scripts/benchmarks/normalization.py`).
"""

import math
from collections.abc import Callable

import tensorflow as tf

FEWEST_VALUES = 2**16  # of a sample; for smaller ones an operation a sample costs more than it saves


def is_quicker(inputs: object) -> bool:
    """Returns whether these functions apply to `inputs` `(N, *spatial, C)`, and are worth it.

    They do for large samples of known number, in the two precisions that a processor is fast in.
    """
    return (
        isinstance(inputs, tf.Tensor)
        and inputs.dtype in (tf.float32, tf.bfloat16)
        and inputs.shape.is_fully_defined()
        and math.prod(inputs.shape[1:]) >= FEWEST_VALUES
    )


def instance_normalization(epsilon: float, negative_slope: float | None) -> Callable:
    """Returns a function of inputs `(N, *spatial, C)` and float32 scale and offset `(C,)`, with a gradient of its own.

    It returns the inputs normalised, scaled, shifted and, where `negative_slope` is given, through leaky ReLU, in their
    own precision. What is kept for the gradient is the inputs, the outputs, and a mean and variance a channel.
    Source: Ulyanov et al., Instance Normalization, 2016, section 2.
    """

    @tf.custom_gradient
    def normalize(inputs: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        parts = [
            tf.raw_ops.FusedBatchNormV3(
                x=sample, scale=scale, offset=offset, mean=[], variance=[], epsilon=epsilon, is_training=True
            )
            for sample in _samples(inputs)
        ]
        outputs = tf.reshape(tf.concat([part.y for part in parts], axis=0), inputs.shape)
        if negative_slope is not None:
            outputs = tf.nn.leaky_relu(outputs, negative_slope)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            if negative_slope is not None:
                # The sign of the output is that of what went into the leaky ReLU.
                upstream = tf.raw_ops.LeakyReluGrad(gradients=upstream, features=outputs, alpha=negative_slope)
            back = [
                tf.raw_ops.FusedBatchNormGradV3(
                    y_backprop=of_output,
                    x=sample,
                    scale=scale,
                    reserve_space_1=part.reserve_space_1,
                    reserve_space_2=part.reserve_space_2,
                    reserve_space_3=part.reserve_space_3,
                    epsilon=epsilon,
                    is_training=True,
                )
                for of_output, sample, part in zip(_samples(upstream), _samples(inputs), parts, strict=True)
            ]
            to_inputs = tf.reshape(tf.concat([each.x_backprop for each in back], axis=0), inputs.shape)
            to_scale = tf.add_n([each.scale_backprop for each in back])
            return to_inputs, to_scale, tf.add_n([each.offset_backprop for each in back])

        return outputs, gradient

    return normalize


def _samples(values: tf.Tensor) -> list[tf.Tensor]:
    """Each sample as a batch of rows, `(1, rows, columns, C)`, as batch normalisation wants it."""
    *others, columns, channels = values.shape[1:]
    shape = (1, math.prod(others), columns, channels)
    return [tf.reshape(sample, shape) for sample in tf.split(values, values.shape[0])]
