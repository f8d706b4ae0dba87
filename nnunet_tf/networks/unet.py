"""The plain U-Net of nnU-Net, as a Keras functional model."""

from collections.abc import Sequence

import keras
from keras import layers

from data_preprocessing.topology import Topology
from nnunet_tf.networks.layers import InstanceNormalization

NEGATIVE_SLOPE = 0.01
CONVOLUTIONS_PER_STAGE = 2


def build_unet(
    topology: Topology, patch_size: Sequence[int], channels: int, classes: int, deep_supervision: bool = False
) -> keras.Model:
    """Returns a U-Net from `(N, *patch_size, channels)` to float32 logits `(N, *patch_size, classes)`.

    With `deep_supervision` it returns a list of logits, full resolution first, one for each decoder level but the
    lowest. Each stage is twice convolution - instance normalisation - leaky ReLU; downsampling by strided, upsampling
    by transposed convolution with kernel = stride; skips by concatenation. Source: Isensee et al., Nature Methods
    2021, "Network architecture".
    """
    dim = len(patch_size)
    inputs = keras.Input((*patch_size, channels), name="image")
    values, skips = inputs, []
    for level, (stride, kernel, features) in enumerate(
        zip(topology.strides, topology.kernels, topology.features, strict=True)
    ):
        values = _stage(values, dim, features, kernel, stride, f"encoder{level}")
        skips.append(values)
    heads = []
    for level in reversed(range(len(skips) - 1)):
        stride, features = topology.strides[level + 1], topology.features[level]
        upsample = layers.Conv2DTranspose if dim == 2 else layers.Conv3DTranspose
        values = upsample(features, stride, stride, kernel_initializer="he_normal", name=f"decoder{level}_up")(values)
        values = layers.Concatenate(name=f"decoder{level}_skip")([values, skips[level]])
        values = _stage(values, dim, features, topology.kernels[level], (1,) * dim, f"decoder{level}")
        if level == 0 or (deep_supervision and level < len(skips) - 2):
            heads.append(_convolution(dim)(classes, 1, dtype="float32", name=f"logits{level}")(values))
    outputs = heads[::-1] if deep_supervision else heads[-1]
    return keras.Model(inputs, outputs, name=f"unet_{dim}d")


def full_resolution(network: keras.Model) -> keras.Model:
    """Returns the network that shares all weights with `network` and has only its full-resolution logits as output."""
    return keras.Model(network.inputs[0], network.outputs[0], name=network.name)


def _convolution(dim: int) -> type[layers.Layer]:
    return layers.Conv2D if dim == 2 else layers.Conv3D


def _stage(
    values: keras.KerasTensor, dim: int, features: int, kernel: Sequence[int], stride: Sequence[int], name: str
) -> keras.KerasTensor:
    for index in range(CONVOLUTIONS_PER_STAGE):
        values = _convolution(dim)(
            features,
            tuple(kernel),
            strides=tuple(stride) if index == 0 else 1,
            padding="same",
            kernel_initializer="he_normal",
            name=f"{name}_conv{index}",
        )(values)
        values = InstanceNormalization(name=f"{name}_norm{index}")(values)
        values = layers.LeakyReLU(negative_slope=NEGATIVE_SLOPE, name=f"{name}_relu{index}")(values)
    return values
