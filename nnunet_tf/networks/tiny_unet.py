"""TinyUNet, NVIDIA's small U-Net for surface defects, as a Keras functional model."""

from collections.abc import Sequence

import keras
from keras import layers

from nnunet_tf.networks.blocks import convolution, convolutions_relu, crop, logits
from nnunet_tf.networks.settings import NetworkSettings

WIDTH = 32  # channels of the first two stages; each later stage has twice those of the one before
INITIALIZER = "he_uniform"


def build_tiny_unet(patch_size: Sequence[int], channels: int, outputs: int, settings: NetworkSettings) -> keras.Model:
    """Returns a 2D TinyUNet from `(N, *input_size, channels)` to float32 logits `(N, *patch_size, outputs)`.

    The input is the patch, or a little more where its size is no multiple of 16 (`settings.input_size`). A stage is
    twice padded convolution with kernel 3 - ReLU: 32, then 32, 64, 128 after max pooling each, 256 at the bottleneck.
    On the way up each stage halves its channels with its second convolution; between them the image is doubled by
    nearest neighbour, with a convolution with kernel 2 and ReLU after it, and the skip is concatenated; 32 at the
    output. He-uniform initialisation. Source: the "tinyUNet" of UNet Industrial, NVIDIA's Deep Learning Examples.
    """
    image = keras.Input((*settings.input_size(patch_size), channels), name="image")
    sizes, width = image.shape[1:-1], settings.width or WIDTH
    extra = [size % 2 for size in sizes]
    values, skips = crop(image, extra, [size - size % 2 for size in sizes], "even"), []
    features = [width, width, 2 * width, 4 * width]
    for level, count in enumerate(features):
        values = convolutions_relu(values, [count] * 2, f"encoder{level}", INITIALIZER)
        skips.append(values)
        values = layers.MaxPooling2D(name=f"encoder{level}_pool")(values)
    values = convolutions_relu(values, [8 * width] * 2, "bottleneck", INITIALIZER)
    for level in reversed(range(len(features))):
        values = _doubled(values, features[level] if level else width // 2, f"decoder{level}_up")
        values = layers.Concatenate(name=f"decoder{level}_skip")([values, skips[level]])
        after = features[level] // 2 if level else width
        values = convolutions_relu(values, [features[level], after], f"decoder{level}", INITIALIZER)
    start = [(size - side) // 2 - odd for size, side, odd in zip(sizes, patch_size, extra, strict=True)]
    values = crop(values, start, patch_size, "patch")
    return keras.Model(image, logits(values, outputs, "logits0"), name="tiny_unet_2d")


def _doubled(values: keras.KerasTensor, features: int, name: str) -> keras.KerasTensor:
    values = layers.UpSampling2D(name=name)(values)
    return layers.ReLU(name=f"{name}_relu")(convolution(values, features, (2, 2), f"{name}_conv", 1, True, INITIALIZER))
