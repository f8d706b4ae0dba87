"""The U-Net of Ronneberger et al. (2015), as a Keras functional model."""

from collections.abc import Sequence

import keras
from keras import layers

from nnunet_tf.networks.blocks import convolutions_relu, crop, logits, upsampling
from nnunet_tf.networks.settings import NetworkSettings

WIDTH = 64  # channels of the first stage; each stage has twice those of the one before
LEVELS = 5
DROPOUT = 0.5


def build_unet(patch_size: Sequence[int], channels: int, outputs: int, settings: NetworkSettings) -> keras.Model:
    """Returns a 2D U-Net from `(N, *input_size, channels)` to float32 logits `(N, *patch_size, outputs)`.

    `settings.input_size` says how much is seen around the patch: from 572 x 572 come 388 x 388. Each stage is twice
    convolution with kernel 3 - ReLU, unpadded unless `padding` is "same"; max pooling, transposed convolution, skips by
    concatenation of their middle part, dropout at the bottleneck, He initialisation (Ronneberger et al., U-Net, MICCAI
    2015, figure 1 and section 3).
    """
    image = keras.Input((*settings.input_size(patch_size), channels), name="image")
    sizes = image.shape[1:-1]
    extra = [size % 2 for size in sizes]
    features = [(settings.width or WIDTH) * 2**level for level in range(LEVELS)]
    values, skips = crop(image, extra, [size - size % 2 for size in sizes], "even"), []
    for level in range(LEVELS):
        values = convolutions_relu(values, [features[level]] * 2, f"encoder{level}", padding=settings.padding)
        if level < LEVELS - 1:
            skips.append(values)
            values = layers.MaxPooling2D(name=f"encoder{level}_pool")(values)
    values = layers.Dropout(DROPOUT, name="dropout")(values)
    for level in reversed(range(LEVELS - 1)):
        values = upsampling(values, features[level], (2, 2), f"decoder{level}_up")
        wanted, given = values.shape[1:-1], skips[level].shape[1:-1]
        start = [(whole - side) // 2 for whole, side in zip(given, wanted, strict=True)]
        skip = crop(skips[level], start, wanted, f"decoder{level}_crop")
        values = layers.Concatenate(name=f"decoder{level}_skip")([skip, values])
        values = convolutions_relu(values, [features[level]] * 2, f"decoder{level}", padding=settings.padding)
    # What is seen before the patch, less what has gone already.
    gone = settings.unpadded_loss // 2
    start = [(size - side) // 2 - odd - gone for size, side, odd in zip(sizes, patch_size, extra, strict=True)]
    values = crop(values, start, patch_size, "patch")
    return keras.Model(image, logits(values, outputs, "logits0"), name="unet_2d")
