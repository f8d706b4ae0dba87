"""The blocks a U-Net is built of, as functions on symbolic `(N, *spatial, C)` tensors, in 2D and 3D alike."""

from collections.abc import Sequence

import keras
from keras import layers

from nnunet_tf.choices import Padding
from nnunet_tf.networks.layers import EPSILON, Conv2D, Conv3D, InstanceNormalization, LeakyReLUOfSum
from nnunet_tf.networks.settings import NetworkSettings, group_count

INITIALIZER = "he_normal"
BATCH_MOMENTUM = 0.9  # PyTorch's default, 1 - 0.1: Keras' 0.99 lags behind in runs of few steps


def convolution(
    values: keras.KerasTensor | list[keras.KerasTensor],
    features: int,
    kernel: Sequence[int],
    name: str,
    stride: Sequence[int] | int = 1,
    bias: bool = True,
    initializer: str = INITIALIZER,
    padding: Padding = "same",
    unfelt_bias: bool = False,
) -> keras.KerasTensor:
    """Returns `(N, *spatial / stride, features)`: a convolution, padded unless told, with He initialisation.

    `unfelt_bias` says that what follows subtracts the bias again. Several `values` are concatenated.
    """
    of_images, of_volumes = (Conv2D, Conv3D) if unfelt_bias else (layers.Conv2D, layers.Conv3D)
    if isinstance(values, list) and not unfelt_bias:  # our own layers concatenate for themselves
        values = layers.Concatenate(name=f"{name}_concatenation")(values)
    layer = of_images if len(kernel) == 2 else of_volumes
    strides = stride if isinstance(stride, int) else tuple(stride)
    return layer(
        features,
        tuple(kernel),
        strides=strides,
        padding=padding,
        use_bias=bias,
        kernel_initializer=initializer,
        name=name,
    )(values)


def upsampling(values: keras.KerasTensor, features: int, stride: Sequence[int], name: str) -> keras.KerasTensor:
    """Returns `(N, *spatial * stride, features)`: a transposed convolution whose kernel is its stride."""
    layer = layers.Conv2DTranspose if _dim(values) == 2 else layers.Conv3DTranspose
    return layer(features, tuple(stride), tuple(stride), kernel_initializer=INITIALIZER, name=name)(values)


def logits(values: keras.KerasTensor, outputs: int, name: str) -> keras.KerasTensor:
    """Returns float32 `(N, *spatial, outputs)`, whatever the precision of the network."""
    layer = layers.Conv2D if _dim(values) == 2 else layers.Conv3D
    return layer(outputs, 1, dtype="float32", name=name)(values)


def convolutions_relu(
    values: keras.KerasTensor,
    features: Sequence[int],
    name: str,
    initializer: str = INITIALIZER,
    padding: Padding = "same",
) -> keras.KerasTensor:
    """Returns `(N, *spatial, features[-1])`: 2D convolutions with kernel 3, each followed by ReLU.

    Without padding each takes a voxel off every side.
    """
    for index, count in enumerate(features):
        values = convolution(values, count, (3, 3), f"{name}_conv{index}", 1, True, initializer, padding)
        values = layers.ReLU(name=f"{name}_relu{index}")(values)
    return values


def crop(values: keras.KerasTensor, start: Sequence[int], size: Sequence[int], name: str) -> keras.KerasTensor:
    """Returns the part `(N, *size, C)` of `(N, H, W, C)` that begins at `start`."""
    sides = [
        (first, whole - first - wanted) for first, wanted, whole in zip(start, size, values.shape[1:-1], strict=True)
    ]
    return layers.Cropping2D(sides, name=name)(values) if any(map(any, sides)) else values


def convolution_norm_relu(
    values: keras.KerasTensor | list[keras.KerasTensor],
    features: int,
    kernel: Sequence[int],
    stride: Sequence[int] | int,
    settings: NetworkSettings,
    name: str,
    index: int = 0,
) -> keras.KerasTensor:
    """Returns `(N, *spatial / stride, features)`; the layers are called `name`_conv`index`, _norm and _relu.

    Several `values` are concatenated.
    """
    values = convolution(values, features, kernel, f"{name}_conv{index}", stride, unfelt_bias=_subtracts_mean(settings))
    if settings.norm == "instance":
        slope = settings.negative_slope
        return InstanceNormalization(negative_slope=slope, name=f"{name}_norm{index}")(values)
    return _relu(_normalization(values, settings, f"{name}_norm{index}"), settings, f"{name}_relu{index}")


def residual_block(
    values: keras.KerasTensor,
    features: int,
    kernel: Sequence[int],
    stride: Sequence[int],
    settings: NetworkSettings,
    name: str,
) -> keras.KerasTensor:
    """Returns `(N, *spatial / stride, features)`: relu(skip + norm(conv(relu(norm(conv))))).

    The skip path averages over the stride and, where the number of features changes, has a 1x1 convolution and a
    normalisation. Initially the block adds nothing to it. Source: the basic block of He et al., Bag of Tricks for
    Image Classification, CVPR 2019 (ResNet-D; section 3.1 for the initialisation), as nnU-Net uses it.
    """
    skip = values
    if any(step > 1 for step in stride):
        pooling = layers.AveragePooling2D if _dim(values) == 2 else layers.AveragePooling3D
        # TensorFlow cannot pool float16 volumes on a processor; the next layer goes back to its own precision.
        skip = pooling(tuple(stride), dtype="float32", name=f"{name}_skip_pool")(skip)
    if values.shape[-1] != features:
        skip = convolution(skip, features, (1,) * _dim(values), f"{name}_skip_conv", bias=False)
        skip = _normalization(skip, settings, f"{name}_skip_norm")
    values = convolution_norm_relu(values, features, kernel, stride, settings, name)
    # Without a normalisation to start from 0, the convolution does (Zhang et al., Fixup Initialization, 2019).
    initializer = "zeros" if settings.norm == "none" else INITIALIZER
    values = convolution(
        values, features, kernel, f"{name}_conv1", initializer=initializer, unfelt_bias=_subtracts_mean(settings)
    )
    values = _normalization(values, settings, f"{name}_norm1", gamma_initializer="zeros")
    values = layers.Add(name=f"{name}_add")([skip, values])
    if settings.norm == "none":
        return LeakyReLUOfSum(negative_slope=settings.negative_slope, name=f"{name}_relu1")(values)
    return _relu(values, settings, f"{name}_relu1")


def _normalization(
    values: keras.KerasTensor, settings: NetworkSettings, name: str, gamma_initializer: str = "ones"
) -> keras.KerasTensor:
    common = {"epsilon": EPSILON, "gamma_initializer": gamma_initializer, "name": name}
    match settings.norm:
        case "instance":
            return InstanceNormalization(gamma_initializer=gamma_initializer, name=name)(values)
        case "batch":
            return layers.BatchNormalization(momentum=BATCH_MOMENTUM, **common)(values)
        case "group":
            return layers.GroupNormalization(groups=group_count(values.shape[-1]), **common)(values)
        case "none":
            return values


def _subtracts_mean(settings: NetworkSettings) -> bool:
    """Whether the normalisation subtracts the mean of each channel, and with it any bias."""
    return settings.norm in ("instance", "batch")


def _relu(values: keras.KerasTensor, settings: NetworkSettings, name: str) -> keras.KerasTensor:
    return layers.LeakyReLU(negative_slope=settings.negative_slope, name=name)(values)


def _dim(values: keras.KerasTensor) -> int:
    return len(values.shape) - 2
