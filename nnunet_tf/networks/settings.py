"""What the user may choose about a network; its shape comes from the plan."""

from pydantic import Field

from data_preprocessing.task import Strict
from nnunet_tf.choices import Encoder, Norm


class NetworkSettings(Strict):
    """The defaults are nnU-Net's (Isensee et al., Nature Methods 2021), without deep supervision."""

    encoder: Encoder = "plain"
    norm: Norm = "instance"
    negative_slope: float = Field(default=0.01, ge=0, lt=1, description="of leaky ReLU; 0 is ReLU")
    deep_supervision: bool = False
