"""What the user may choose about a network; its shape comes from the plan."""

from collections.abc import Sequence

from pydantic import Field

from data_preprocessing.common.defaults import AXES
from data_preprocessing.common.task import MirrorAxes, Strict
from nnunet_tf.choices import Encoder, NetworkName, Norm, Padding
from nnunet_tf.networks.window import UNPADDED_LOSS, input_size

# Wu and He (Group Normalization, 2018) take 32; the first stage's 32 features would each be a group of their own then,
# which is instance normalisation. Myronenko (2018), for volumes, takes 8.
GROUPS = 8


class NetworkSettings(Strict):
    """The defaults are nnU-Net's (Isensee et al., Nature Methods 2021), without deep supervision.

    `encoder`, `norm`, `negative_slope` and `deep_supervision` are of nnU-Net, `padding` is of U-Net, `width` of U-Net
    and TinyUNet. `mirror_axes` is what it is to learn, not what it is built of.
    """

    network: NetworkName = "nnunet"
    encoder: Encoder = "plain"
    norm: Norm = "instance"
    negative_slope: float = Field(default=0.01, ge=0, lt=1, description="of leaky ReLU; 0 is ReLU")
    deep_supervision: bool = False
    padding: Padding = "valid"
    width: int | None = Field(default=None, ge=2, description="channels of the first stage; null: as published")
    mirror_axes: MirrorAxes = Field(default=AXES, description="along which it is shown mirror images")

    @property
    def unpadded_loss(self) -> int:
        """By how many voxels an axis the output is smaller than the input; U-Net without padding only."""
        return UNPADDED_LOSS if self.network == "unet" and self.padding == "valid" else 0

    def input_size(self, patch_size: Sequence[int]) -> tuple[int, ...]:
        """Returns the size of the network's input around a patch; where it is larger, images are mirrored."""
        return tuple(patch_size) if self.network == "nnunet" else input_size(patch_size, self.unpadded_loss)


def group_count(features: int) -> int:
    """Returns the number of groups that group normalization divides `features` channels into: at most `GROUPS`."""
    return max(groups for groups in range(1, GROUPS + 1) if features % groups == 0)
