"""How much nnU-Net v2's experiment planners let a network put out for a GPU of so many gigabytes.

The numbers are those of `nnunetv2.experiment_planning.experiment_planners`: of `default_experiment_planner` for the
plain encoder, of `residual_unets.residual_encoder_unet_planners` for the residual one (Isensee et al., nnU-Net
Revisited, MICCAI 2024: ResEnc M, L and XL).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from data_preprocessing.common.defaults import Encoder

REFERENCE_BATCH = {2: 12, 3: 2}
SMALLEST_BATCH = 2


@dataclass(frozen=True)
class Preset:
    """What may be planned for `gigabytes`; mappings are by the dimensions of the network.

    `values` are those of the feature maps of one patch where `REFERENCE_BATCH` patches fill the memory. The patch
    shrinks until `fewest_patches` fit. One batch shows at most `dataset_share` of the data set's voxels.
    """

    name: str
    gigabytes: float
    values: Mapping[int, int]
    fewest_patches: Mapping[int, int]
    dataset_share: float

    def budget(self, dim: int, gpu_memory_gb: float) -> float:
        """Returns how many values one of `REFERENCE_BATCH` patches may have in `gpu_memory_gb`."""
        return self.values[dim] * gpu_memory_gb / self.gigabytes


PLAIN = Preset("plain", 8, {2: 85_000_000, 3: 560_000_000}, {2: 2, 3: 2}, 0.05)
RESIDUAL = (
    Preset("ResEnc M", 8, {2: 135_000_000, 3: 680_000_000}, REFERENCE_BATCH, 1),
    Preset("ResEnc L", 24, {2: 380_000_000, 3: 2_100_000_000}, REFERENCE_BATCH, 1),
    Preset("ResEnc XL", 40, {2: 560_000_000, 3: 3_600_000_000}, REFERENCE_BATCH, 1),
)


def preset_of(encoder: Encoder, gpu_memory_gb: float) -> Preset:
    """Returns the preset to plan by: of the residual encoder's the largest that the memory reaches, at least M."""
    if encoder == "plain":
        return PLAIN
    return next((preset for preset in reversed(RESIDUAL) if preset.gigabytes <= gpu_memory_gb), RESIDUAL[0])
