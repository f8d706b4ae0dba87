"""The network that the settings name."""

from collections.abc import Sequence

import keras

from data_preprocessing.planning.topology import Topology
from nnunet_tf.networks.nnunet import build_nnunet
from nnunet_tf.networks.settings import NetworkSettings
from nnunet_tf.networks.tiny_unet import build_tiny_unet
from nnunet_tf.networks.unet import build_unet


def build_network(
    topology: Topology, patch_size: Sequence[int], channels: int, outputs: int, settings: NetworkSettings
) -> keras.Model:
    """Returns a network from `(N, *input_size, channels)` to float32 logits `(N, *patch_size, outputs)`.

    `settings.input_size` says how much a network sees around a patch. With deep supervision nnU-Net returns a list, see
    `build_nnunet`; the stages of the others are not the topology's but their own. Raises ValueError for a U-Net or
    TinyUNet in 3D.
    """
    if settings.network == "nnunet":
        return build_nnunet(topology, patch_size, channels, outputs, settings)
    if len(patch_size) != 2:
        raise ValueError(f"{settings.network} sees images, not volumes of {len(patch_size)} dimensions")
    build = build_unet if settings.network == "unet" else build_tiny_unet
    return build(patch_size, channels, outputs, settings)


def full_resolution(network: keras.Model) -> keras.Model:
    """Returns the network that shares all weights with `network` and has only its full-resolution logits as output."""
    return keras.Model(network.inputs[0], network.outputs[0], name=network.name)
