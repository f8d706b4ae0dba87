"""What scoring measures. Imports nothing heavy, so that `--help` can show the defaults at once."""

from dataclasses import dataclass

TOLERANCE_MM = 2.0
"""Of NSD, unless told: that of the ABCs challenge (MICCAI 2020). Better is what two experts differ by on the organ."""

WORST = 5  # cases named for each structure


@dataclass(frozen=True)
class ScoringOptions:
    """What is measured: with `surface` also NSD at `tolerance_mm`, HD95 and ASSD.

    With `count_absent`, as in NVIDIA's nnU-Net, Dice and NSD of a structure absent in both are 1. With
    `include_background` label 0 is a structure too. With `trust_grid` a prediction may differ from its label in origin
    or spacing: they are compared voxel by voxel.
    """

    tolerance_mm: float = TOLERANCE_MM
    surface: bool = True
    count_absent: bool = False
    include_background: bool = False
    trust_grid: bool = False
