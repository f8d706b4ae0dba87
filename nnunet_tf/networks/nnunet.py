"""The U-Nets of nnU-Net, as Keras functional models."""

from collections.abc import Sequence

import keras

from data_preprocessing.planning.topology import (
    PLAIN_CONVOLUTIONS,
    RESIDUAL_BLOCKS,
    RESIDUAL_DECODER_CONVOLUTIONS,
    Topology,
)
from nnunet_tf.networks.blocks import convolution_norm_relu, logits, residual_block, upsampling
from nnunet_tf.networks.settings import NetworkSettings


def build_nnunet(
    topology: Topology, patch_size: Sequence[int], channels: int, outputs: int, settings: NetworkSettings
) -> keras.Model:
    """Returns a U-Net from `(N, *patch_size, channels)` to float32 logits `(N, *patch_size, outputs)`.

    With deep supervision it returns a list of logits, full resolution first, one for each decoder level but the
    lowest; where that is one, it is no list. Downsampling by strided, upsampling by transposed convolution with
    kernel = stride; skips by concatenation.

    A plain stage is twice convolution - normalisation - leaky ReLU (Isensee et al., Nature Methods 2021, "Network
    architecture"). The residual encoder is a stem convolution and stages of residual blocks (Isensee et al., nnU-Net
    Revisited, MICCAI 2024, "ResEnc"; `nnUNetPlannerResEncM` of nnU-Net v2).
    """
    dim = len(patch_size)
    image = keras.Input((*patch_size, channels), name="image")
    plain = settings.encoder == "plain"
    skips = (_plain_encoder if plain else _residual_encoder)(image, topology, settings)
    convolutions = PLAIN_CONVOLUTIONS if plain else RESIDUAL_DECODER_CONVOLUTIONS
    values, lowest, heads = skips[-1], len(skips) - 1, []
    for level in reversed(range(len(skips))):
        if level < lowest:
            features = topology.features[level]
            kernel, name = topology.kernels[level], f"decoder{level}"
            values = [upsampling(values, features, topology.strides[level + 1], f"{name}_up"), skips[level]]
            for index in range(convolutions):
                values = convolution_norm_relu(values, features, kernel, 1, settings, name, index)
        if level == 0 or (settings.deep_supervision and level < lowest - 1):
            heads.append(logits(values, outputs, f"logits{level}"))
    return keras.Model(image, heads[::-1] if settings.deep_supervision else heads[-1], name=f"unet_{dim}d")


def _plain_encoder(values: keras.KerasTensor, topology: Topology, settings: NetworkSettings) -> list[keras.KerasTensor]:
    stages = []
    for level, (stride, kernel, features) in enumerate(
        zip(topology.strides, topology.kernels, topology.features, strict=True)
    ):
        for index in range(PLAIN_CONVOLUTIONS):
            step = stride if index == 0 else 1
            values = convolution_norm_relu(values, features, kernel, step, settings, f"encoder{level}", index)
        stages.append(values)
    return stages


def _residual_encoder(
    values: keras.KerasTensor, topology: Topology, settings: NetworkSettings
) -> list[keras.KerasTensor]:
    values = convolution_norm_relu(values, topology.features[0], topology.kernels[0], 1, settings, "stem")
    stages = []
    for level, (stride, kernel, features) in enumerate(
        zip(topology.strides, topology.kernels, topology.features, strict=True)
    ):
        for block in range(RESIDUAL_BLOCKS[min(level, len(RESIDUAL_BLOCKS) - 1)]):
            step = stride if block == 0 else (1,) * len(stride)
            values = residual_block(values, features, kernel, step, settings, f"encoder{level}_block{block}")
        stages.append(values)
    return stages
