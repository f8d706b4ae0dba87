"""U-Nets and TinyUNets that do nothing but show the middle of their input."""

import keras
import numpy as np

from nnunet_tf.networks.build import build_network
from nnunet_tf.networks.settings import NetworkSettings

NARROW = [
    NetworkSettings(network="unet", width=4),
    NetworkSettings(network="unet", width=4, padding="same"),
    NetworkSettings(network="tiny-unet", width=4),
]


def name_of(settings: NetworkSettings) -> str:
    """Returns a short name for a test."""
    return f"{settings.network}, {settings.padding}"


def identity_network(settings: NetworkSettings, patch: tuple[int, ...]) -> keras.Model:
    """Returns the network of one channel and one output whose logits are its image, of values over 0, without margin.

    All weights are 0 but those along the highest skip.
    """
    network = build_network(None, patch, 1, 1, settings)
    for weight in network.trainable_weights:
        weight.assign(np.zeros(weight.shape))
    skip_first = settings.network == "unet"
    for name in ("encoder0_conv0", "encoder0_conv1", "decoder0_conv0", "decoder0_conv1", "logits0"):
        kernel = network.get_layer(name).kernel
        values = np.zeros(kernel.shape)
        channel = 0 if name != "decoder0_conv0" or skip_first else kernel.shape[2] - settings.width
        values[kernel.shape[0] // 2, kernel.shape[1] // 2, channel, 0] = 1
        kernel.assign(values)
    return network
