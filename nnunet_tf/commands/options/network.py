"""The options that choose a network, and the settings they come to. Imports nothing heavy, for `--help`."""

import argparse
from typing import TYPE_CHECKING, get_args

from data_preprocessing.common.errors import UserError
from nnunet_tf.choices import Encoder, NetworkName, Norm, Padding
from nnunet_tf.commands.types import width

if TYPE_CHECKING:
    from nnunet_tf.networks.settings import NetworkSettings

OF_NNUNET = ("encoder", "norm", "negative_slope", "deep_supervision")
# Options that a network has no use for.
FOREIGN: dict[NetworkName, tuple[str, ...]] = {
    "nnunet": ("padding", "width"),
    "unet": OF_NNUNET,
    "tiny-unet": (*OF_NNUNET, "padding"),
}


def add_network_options(group: argparse._ArgumentGroup) -> None:
    """Adds what there is to choose about every network."""
    add = group.add_argument
    add("--network", choices=get_args(NetworkName), help="nnU-Net's, or in 2D another; else the config says")
    add("--encoder", choices=get_args(Encoder), default="plain", help="residual: that of nnU-Net's ResEnc presets")
    add("--norm", choices=get_args(Norm), default="instance", help="normalisation after each convolution")
    add("--padding", choices=get_args(Padding), default="valid", help="unet: convolutions as published, or padded")
    add("--width", type=width, help="unet, tiny-unet: channels of the first stage; else as published")


def network_settings(options: argparse.Namespace, stated: NetworkName) -> "NetworkSettings":
    """Returns the settings that the command line asks for, the network being the config's `stated` unless it says.

    Raises UserError where options do not fit the network, or it is to see volumes and cannot.
    """
    from nnunet_tf.networks.settings import NetworkSettings

    network = options.network or stated
    if network != "nnunet" and options.dim != 2:
        raise UserError(f"--network {network}: sees images, not volumes; use --dim 2, or --network nnunet")
    chosen = {name: getattr(options, name) for name in (*OF_NNUNET, "padding", "width") if hasattr(options, name)}
    for name in FOREIGN[network]:
        if name in chosen and chosen[name] != NetworkSettings.model_fields[name].default:
            raise UserError(f"--{name.replace('_', '-')}: is no option of --network {network}; leave it out")
    return NetworkSettings(network=network, **chosen)
