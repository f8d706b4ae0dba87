"""Layers that Keras lacks, or has slower."""

import itertools
import math
from collections.abc import Callable, Sequence

import keras
from keras import ops

EPSILON = 1e-5


@keras.saving.register_keras_serializable(package="nnunet_tf")
class InstanceNormalization(keras.layers.Layer):
    """Normalises every channel of every sample over its voxels, scales and shifts it, and may apply leaky ReLU.

    Takes and returns `(N, *spatial, C)`, of known spatial size; computes in float32 whatever the precision of the
    input. The same as `keras.layers.GroupNormalization(groups=-1)`, followed by `LeakyReLU` where `negative_slope` is
    given, with a written-out gradient. It keeps the input and the output for it, which their neighbours keep anyway,
    and nothing in between. On a processor TensorFlow's own operations take over where they are quicker. Source: Ulyanov
    et al., Instance Normalization, 2016; the gradient is that of Ioffe and Szegedy, Batch Normalization, 2015, section
    3, over the voxels of one sample.
    """

    def __init__(
        self,
        epsilon: float = EPSILON,
        negative_slope: float | None = None,
        gamma_initializer: str = "ones",
        **settings: object,
    ) -> None:
        super().__init__(**settings)
        self.epsilon, self.negative_slope, self.gamma_initializer = epsilon, negative_slope, gamma_initializer
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes scale and offset (zeros), one a channel."""
        common = {"shape": (input_shape[-1],), "dtype": "float32", "autocast": False}
        self.gamma = self.add_weight(name="gamma", initializer=self.gamma_initializer, **common)
        self.beta = self.add_weight(name="beta", initializer="zeros", **common)
        self.built = True

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the normalised `inputs`, in their own precision."""
        if _computes_on_processor():
            from nnunet_tf.networks import processor_normalization as processor

            if processor.is_quicker(inputs):
                weights = ops.reshape(self.gamma, (-1,)), ops.reshape(self.beta, (-1,))
                return processor.instance_normalization(self.epsilon, self.negative_slope)(inputs, *weights)
        # Reshaped, they are tensors: a function with its own gradient must not see variables.
        broadcastable = (1,) * (len(inputs.shape) - 1) + (inputs.shape[-1],)
        gamma, beta = ops.reshape(self.gamma, broadcastable), ops.reshape(self.beta, broadcastable)
        return _instance_normalization(self.epsilon, self.negative_slope)(inputs, gamma, beta)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns `input_shape`: nothing is moved."""
        return input_shape

    def get_config(self) -> dict[str, object]:
        """Returns what rebuilds this layer."""
        own = {name: getattr(self, name) for name in ("epsilon", "negative_slope", "gamma_initializer")}
        return {**super().get_config(), **own}


class _BeforeNormalization:
    """To inherit from before a convolution with a bias, where a normalisation over the voxels of a channel follows.

    That subtracts the bias again, with the mean: its gradient is 0, and is not computed, as it would be from every
    voxel of the gradient.

    It also takes several inputs, each `(N, *spatial, C)`, as if they were concatenated along their channels. On a
    processor each is convolved with its part of the kernel instead, and the results are added: to convolve more
    channels at once is no quicker there, and nothing is copied.
    """

    def __init__(self, *arguments: object, **settings: object) -> None:
        super().__init__(*arguments, **settings)
        self.input_spec = None  # Keras' is that of a single input

    def build(self, input_shape: Sequence) -> None:
        """Makes kernel and bias: those for the concatenated inputs."""
        super().build(_concatenated(input_shape))  # type: ignore[misc] # Keras' convolution
        self.input_spec = None

    def call(self, inputs: keras.KerasTensor | Sequence[keras.KerasTensor]) -> keras.KerasTensor:
        """Returns what Keras' own convolution does."""
        kernel = ops.convert_to_tensor(self.kernel)  # type: ignore[attr-defined] # of Keras' convolution
        bias = ops.reshape(self.bias, (1,) * (len(kernel.shape) - 1) + (-1,))  # type: ignore[attr-defined]
        parts: list[keras.KerasTensor] = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        if len(parts) > 1 and not _computes_on_processor():
            parts = [ops.concatenate(parts, axis=-1)]
        ends = list(itertools.accumulate(part.shape[-1] for part in parts))
        kernels = ops.split(kernel, ends[:-1], axis=-2) if len(parts) > 1 else [kernel]
        convolve = self.convolution_op  # type: ignore[attr-defined]
        outputs = [convolve(part, each) for part, each in zip(parts, kernels, strict=True)]
        return ops.add(sum(outputs[1:], outputs[0]), _without_gradient(bias))

    def compute_output_shape(self, input_shape: Sequence) -> tuple[int | None, ...]:
        """Returns that for the concatenated inputs."""
        return super().compute_output_shape(_concatenated(input_shape))  # type: ignore[misc]


# Named as Keras' are, for the files of weights, which name each layer after its class.
@keras.saving.register_keras_serializable(package="nnunet_tf")
class Conv2D(_BeforeNormalization, keras.layers.Conv2D):
    """Convolution before instance or batch normalisation."""


@keras.saving.register_keras_serializable(package="nnunet_tf")
class Conv3D(_BeforeNormalization, keras.layers.Conv3D):
    """Convolution before instance or batch normalisation."""


@keras.saving.register_keras_serializable(package="nnunet_tf")
class LeakyReLUOfSum(keras.layers.LeakyReLU):
    """Leaky ReLU that may follow the sum of a convolution with a bias and something else.

    TensorFlow 2.21 on a processor makes one operation of convolution, bias, sum and its own leaky ReLU inside a
    `tf.function`, and forgets the slope on the way: it is 0.2 then, whatever it should be. This one is not recognised.
    """

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Returns `inputs`, those under 0 times the slope."""
        return ops.maximum(inputs, inputs * self.negative_slope)


def _computes_on_processor() -> bool:
    """Whether TensorFlow computes, and has no GPU."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_logical_devices("GPU")


def _concatenated(input_shape: Sequence) -> Sequence:
    """The shape of the inputs along their channels; of a single one its own."""
    if not isinstance(input_shape[0], list | tuple):
        return input_shape
    return (*input_shape[0][:-1], sum(shape[-1] for shape in input_shape))


@ops.custom_gradient
def _without_gradient(values):  # type: ignore[no-untyped-def]
    def gradient(*arguments, upstream=None):  # type: ignore[no-untyped-def]
        return (ops.zeros_like(values),)

    return ops.copy(values), gradient


def _instance_normalization(epsilon: float, negative_slope: float | None) -> Callable:
    @ops.custom_gradient
    def normalize(inputs, gamma, beta):  # type: ignore[no-untyped-def]
        axes = tuple(range(1, len(inputs.shape) - 1))
        values = ops.cast(inputs, "float32")
        # The two-pass variance: E[x^2] - E[x]^2 would cancel for channels far from zero.
        mean, variance = ops.moments(values, axes, keepdims=True)
        inverse = ops.rsqrt(variance + epsilon)
        scale = gamma * inverse
        values = values * scale + (beta - mean * scale)
        if negative_slope is not None:
            values = ops.leaky_relu(values, negative_slope)
        outputs = ops.cast(values, inputs.dtype)

        def gradient(*arguments, upstream=None):  # type: ignore[no-untyped-def]
            upstream = arguments[0] if upstream is None else upstream
            # TensorFlow computes at once what needs only the forward pass, and would keep it until the backward pass:
            # a zero that is known only with the upstream gradient holds it back.
            zero = ops.minimum(ops.abs(ops.reshape(upstream, (-1,))[0]), 0)
            values = inputs
            if keras.backend.standardize_dtype(inputs.dtype) != "float32":
                values = ops.cast(inputs + zero, "float32")
            upstream = ops.cast(upstream, "float32")
            if negative_slope is not None:
                upstream = ops.where(outputs > zero, upstream, upstream * negative_slope)
            upstream_mean = ops.mean(upstream, axes, keepdims=True)
            # The mean over voxels of upstream * normalised input.
            correlation = (ops.mean(upstream * values, axes, keepdims=True) - mean * upstream_mean) * inverse
            slope = -scale * correlation * inverse
            offset = -scale * upstream_mean - slope * mean
            to_inputs = ops.cast(upstream * scale + (values * slope + offset), inputs.dtype)
            voxels = math.prod(inputs.shape[1:-1])
            to_gamma = ops.sum(correlation, axis=0, keepdims=True) * voxels
            to_beta = ops.sum(upstream_mean, axis=0, keepdims=True) * voxels
            return to_inputs, to_gamma, to_beta

        return outputs, gradient

    return normalize
