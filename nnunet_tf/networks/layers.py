"""Layers that Keras lacks."""

import math
from collections.abc import Callable

import keras
from keras import ops

EPSILON = 1e-5


@keras.saving.register_keras_serializable(package="nnunet_tf")
class InstanceNormalization(keras.layers.Layer):
    """Normalises every channel of every sample over its voxels, then scales and shifts it.

    Takes and returns `(N, *spatial, C)`, of known spatial size. Statistics are in float32 whatever the precision of
    the input. The same as `keras.layers.GroupNormalization(groups=-1)`, with a written-out gradient that reads its
    input only twice. Source: Ulyanov et al., Instance Normalization, 2016; the gradient is that of Ioffe and Szegedy,
    Batch Normalization, 2015, section 3, over the voxels of one sample.
    """

    def __init__(self, epsilon: float = EPSILON, **settings: object) -> None:
        super().__init__(**settings)
        self.epsilon = epsilon
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes scale (ones) and offset (zeros), one a channel."""
        channels = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=channels, initializer="ones", dtype="float32", autocast=False)
        self.beta = self.add_weight(name="beta", shape=channels, initializer="zeros", dtype="float32", autocast=False)
        self.built = True

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the normalised `inputs`, in their own precision."""
        # Reshaped, they are tensors: a function with its own gradient must not see variables.
        broadcastable = (1,) * (len(inputs.shape) - 1) + (inputs.shape[-1],)
        gamma, beta = ops.reshape(self.gamma, broadcastable), ops.reshape(self.beta, broadcastable)
        return _instance_normalization(self.epsilon)(inputs, gamma, beta)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns `input_shape`: nothing is moved."""
        return input_shape

    def get_config(self) -> dict[str, object]:
        """Returns what rebuilds this layer."""
        return {**super().get_config(), "epsilon": self.epsilon}


def _instance_normalization(epsilon: float) -> Callable:
    def voxel_mean(values: keras.KerasTensor) -> keras.KerasTensor:
        axes = tuple(range(1, len(values.shape) - 1))
        return ops.mean(ops.cast(values, "float32"), axis=axes, keepdims=True)

    @ops.custom_gradient
    def normalize(inputs, gamma, beta):  # type: ignore[no-untyped-def]
        mean = voxel_mean(inputs)
        # The two-pass variance: E[x^2] - E[x]^2 would cancel for channels far from zero.
        variance = voxel_mean(ops.square(ops.cast(inputs, "float32") - mean))
        inverse = ops.rsqrt(variance + epsilon)
        scale = gamma * inverse
        outputs = inputs * ops.cast(scale, inputs.dtype) + ops.cast(beta - mean * scale, inputs.dtype)

        def gradient(*arguments, upstream=None):  # type: ignore[no-untyped-def]
            upstream = arguments[0] if upstream is None else upstream
            upstream_mean = voxel_mean(upstream)
            product_mean = voxel_mean(ops.cast(upstream, "float32") * ops.cast(inputs, "float32"))
            # The mean over voxels of upstream * normalised input.
            correlation = (product_mean - mean * upstream_mean) * inverse
            slope = -scale * correlation * inverse
            offset = -scale * upstream_mean - slope * mean
            dtype = inputs.dtype
            to_inputs = upstream * ops.cast(scale, dtype) + (inputs * ops.cast(slope, dtype) + ops.cast(offset, dtype))
            voxels = math.prod(inputs.shape[1:-1])
            to_gamma = ops.sum(correlation, axis=0, keepdims=True) * voxels
            to_beta = ops.sum(upstream_mean, axis=0, keepdims=True) * voxels
            return to_inputs, to_gamma, to_beta

        return outputs, gradient

    return normalize
