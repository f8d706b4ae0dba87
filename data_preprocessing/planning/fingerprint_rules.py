"""The numbers that follow from a fingerprint by rule, whatever the network (nnU-Net, Nature Methods 2021)."""

import re
from collections.abc import Sequence

import numpy as np

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.task import CTIntensities, NormalizationName
from data_preprocessing.images.checks.voxels import is_ct
from data_preprocessing.planning.fingerprint import Fingerprint
from data_preprocessing.transforms.resample import ANISOTROPY, resampled_shape

MASK_SHARE = 0.75  # below it, so much of a scan is empty that its zeros would decide mean and deviation
FINE_PERCENTILE = 10
NAMED_NORMALIZATIONS: dict[str, NormalizationName] = {
    "nonorm": "none",
    "rescale_to_0_1": "rescale_0_1",
    "rgb_to_0_1": "rgb",
}
WITHOUT_LEFT_RIGHT = "zy"  # the axes to mirror where left and right are told apart
SIDES = {"left": "right", "right": "left"}
COARSER_MM = 1e-5  # keeps an axis the coarsest, hence the first, without any effect on its resampling


def target_spacing(fingerprint: Fingerprint) -> tuple[float, float, float]:
    """Returns the spacing (mm, array order) to resample a data set to, rounded to what a config file can show.

    The median over the cases an axis. Where the coarsest axis is over 3 times the next and holds under a third of the
    voxels of any other, its 10th percentile instead, but never finer than the others. Source: nnU-Net v2,
    `determine_fullres_target_spacing`. In a data set of single slices, the axis across them is made the coarsest.
    """
    spacings = np.array([case.spacing for case in fingerprint.cases])
    sizes = np.median([case.box_shape for case in fingerprint.cases], axis=0)
    target = np.median(spacings, axis=0)
    coarsest = int(np.argmax(target))
    other_mm, other_sizes = np.delete(target, coarsest).max(), np.delete(sizes, coarsest)
    if target[coarsest] > ANISOTROPY * other_mm and sizes[coarsest] * ANISOTROPY < other_sizes.min():
        fine = np.percentile(spacings[:, coarsest], FINE_PERCENTILE)
        target[coarsest] = fine if fine >= other_mm else other_mm + COARSER_MM
    across = slice_axis(fingerprint)
    if across is not None:
        target[across] = max(target[across], np.delete(target, across).max() + COARSER_MM)
    z, y, x = (rounded(mm, digits=7) for mm in target)
    return z, y, x


def slice_axis(fingerprint: Fingerprint) -> int | None:
    """Returns the array axis across the slices of a data set of single slices (its median size is 1), else None."""
    sizes = np.median([case.shape for case in fingerprint.cases], axis=0)
    return int(np.argmin(sizes)) if np.count_nonzero(sizes == 1) == 1 else None


def median_shape(
    fingerprint: Fingerprint, axis_order: tuple[int, int, int], spacing: tuple[float, ...]
) -> tuple[float, ...]:
    """Returns the median size an axis (voxels) of the cropped cases resampled to `spacing` (mm).

    `spacing` and the result are in network order: `axis_order` of the array axes.
    """
    shapes = [
        resampled_shape(
            [case.box_shape[axis] for axis in axis_order], [case.spacing[axis] for axis in axis_order], spacing
        )
        for case in fingerprint.cases
    ]
    return tuple(np.median(shapes, axis=0).tolist())


def median_box_share(fingerprint: Fingerprint) -> float:
    """Returns the median over the cases of the nonzero box's share of the volume."""
    return float(np.median([case.box_share for case in fingerprint.cases]))


def needs_nonzero_mask(fingerprint: Fingerprint) -> bool:
    """Returns whether z-score looks at nonzero voxels only: where cropping leaves under three quarters of a scan."""
    return median_box_share(fingerprint) < MASK_SHARE


def normalization_name(channel: str) -> NormalizationName:
    """Returns how a channel is normalised where the config does not say: by its modality, or by nnU-Net v2's keywords.

    CT, by whatever usual name (`is_ct`), by the data set's statistics, all else by z-score. Source: nnU-Net v2,
    `map_channel_name_to_normalization`, which knows "CT" alone.
    """
    return "ct" if is_ct(channel) else NAMED_NORMALIZATIONS.get(channel.strip().lower(), "z_score")


def ct_intensities(fingerprint: Fingerprint, channel: int) -> CTIntensities:
    """Returns the numbers by which a CT channel is normalised, in Hounsfield units, rounded to 6 digits.

    Raises UserError where the foreground voxels hardly differ: the images are then not Hounsfield units.
    """
    found = fingerprint.intensities[channel]
    low, high, mean, std = (rounded(value, digits=6) for value in (found.low, found.high, found.mean, found.std))
    if low >= high or std <= 0:
        raise UserError(
            f"{fingerprint.dataset}: foreground voxels of channel {fingerprint.channels[channel]} all have the value "
            f"{mean:g}; check images and labels, or set normalization in the config"
        )
    return CTIntensities(low=low, high=high, mean=mean, std=std)


def left_right_pair(class_names: Sequence[str]) -> tuple[str, str] | None:
    """Returns the first two classes whose names differ only in left and right, else None.

    >>> left_right_pair(["background", "kidney_right", "Kidney_Left"])
    ('kidney_right', 'Kidney_Left')
    """
    by_name = {name.lower(): name for name in class_names}
    for name in class_names:
        other = re.sub("left|right", lambda side: SIDES[side.group()], name.lower())
        if other != name.lower() and other in by_name:
            return name, by_name[other]
    return None


def rounded(value: float, digits: int) -> float:
    """Returns `value` to so many significant digits, so that what a config shows is what is used.

    >>> rounded(0.7578124403953552, digits=7)
    0.7578124
    """
    return float(f"{value:.{digits}g}")
