"""Floating-point operations and bytes of a step, from the network's own layers."""

import math
from dataclasses import dataclass
from typing import Literal

import keras
import tensorflow as tf
from keras import layers

from nnunet_tf.networks.layers import InstanceNormalization

Kind = Literal["convolution", "normalization", "others", "update"]

CONVOLUTIONS = (layers.Conv2D, layers.Conv3D)
TRANSPOSED = (layers.Conv2DTranspose, layers.Conv3DTranspose)
NORMALIZATIONS = (InstanceNormalization, layers.GroupNormalization, layers.BatchNormalization)
WEIGHT_BYTES = 4  # float32, in mixed precision too
# Read the gradient for its norm; read gradient, weight and two moments; write weight and moments: AdamW.
UPDATE_PASSES = 8


@dataclass(frozen=True)
class Work:
    """One pass of a layer: multiplications and additions, and the bytes read and written if no cache keeps any."""

    kind: Kind
    flops: int
    bytes: int


def step_work(network: keras.Model, batch_size: int, training: bool) -> list[Work]:
    """Returns the passes of one step over `batch_size` samples: forward, and with `training` backward and update.

    A convolution counts 2 operations for each output voxel, tap of the kernel, input and output channel; a transposed
    one for each input voxel instead; taps that padding fills with 0 are counted. It reads its input and weights and
    writes its output. Backward it is two more of the same size: the gradients of its input and of its weights.

    The others count bytes only. A normalisation reads its input twice (statistics, then values) and writes once;
    backward it reads input and gradient twice and writes once. Any other layer reads its inputs and writes its output,
    and the same backward. The update is AdamW's, in float32. The loss is left out: it sees few channels. It is the
    least that separate layers can do: what a framework does beyond it shows as a smaller share.
    """
    passes = []
    for layer in network.layers:
        if not isinstance(layer, layers.InputLayer):
            passes += _layer_work(layer, batch_size, training)
    if training:
        weights = sum(math.prod(weight.shape) for weight in network.trainable_variables)
        passes.append(Work("update", 0, UPDATE_PASSES * weights * WEIGHT_BYTES))
    return passes


def _layer_work(layer: layers.Layer, batch_size: int, training: bool) -> list[Work]:
    read, written = (_bytes(values, batch_size) for values in (layer.input, layer.output))
    if isinstance(layer, CONVOLUTIONS + TRANSPOSED):
        weights = layer.kernel.shape
        voxels = math.prod((layer.input if isinstance(layer, TRANSPOSED) else layer.output).shape[1:-1])
        flops = 2 * batch_size * voxels * math.prod(weights)
        moved = read + written + math.prod(weights) * tf.as_dtype(layer.compute_dtype).size
        return [Work("convolution", flops, moved)] * (3 if training else 1)
    if isinstance(layer, NORMALIZATIONS):
        forward, backward = 2 * read + written, 2 * (read + written) + read
        return [Work("normalization", 0, each) for each in ((forward, backward) if training else (forward,))]
    return [Work("others", 0, read + written)] * (2 if training else 1)


def _bytes(values: keras.KerasTensor | list[keras.KerasTensor], batch_size: int) -> int:
    tensors = values if isinstance(values, list) else [values]
    return sum(batch_size * math.prod(each.shape[1:]) * tf.as_dtype(each.dtype).size for each in tensors)
