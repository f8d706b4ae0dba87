"""One case from its file to network input, and where that lies in the volume: what training and prediction share."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_preprocessing.dataset.dataset import Case
from data_preprocessing.dataset.memory import BYTES_PER_VOXEL, PROCESS_BYTES
from data_preprocessing.images.checks.finding import Row, unusable
from data_preprocessing.images.image_file import read_header
from data_preprocessing.images.limits import max_voxels
from data_preprocessing.images.orientation import is_usable, spacing_zyx
from data_preprocessing.images.volume_io import Volume
from data_preprocessing.planning.plan import Plan
from data_preprocessing.transforms.crop import Box, bounding_box, crop, nonzero_mask
from data_preprocessing.transforms.normalize import normalize
from data_preprocessing.transforms.resample import resample_image, resample_label, resampled_shape

MOST_COUNTED = 2.0**60  # voxels, of a header that is far off
COPIES = 4  # the peak of a case, in float32 volumes of the larger of its two sizes: docs/preprocessing.md


@dataclass(frozen=True)
class Placement:
    """Where a prepared case lies in its volume; all in network axis order, spacings in mm."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    box: Box
    cropped_shape: tuple[int, ...]
    prepared_shape: tuple[int, ...]
    prepared_spacing: tuple[float, ...]


def place(volume: Volume, plan: Plan) -> Placement:
    """Returns where the network input of `volume` will lie: cropped to the nonzero box, on the plan's spacing.

    A 2D plan resamples in plane only; slices are never resampled through plane.
    """
    oriented = volume.array.transpose(*plan.axis_order, 3)
    spacing = _in_network_order(volume.spacing, plan)
    box = bounding_box((oriented != 0).any(axis=-1))
    cropped_shape = tuple(stop - start for start, stop in box)
    prepared_spacing = _target(spacing, plan)
    prepared_shape = resampled_shape(cropped_shape, spacing, prepared_spacing)
    return Placement(oriented.shape[:3], spacing, box, cropped_shape, prepared_shape, prepared_spacing)


def prepare_image(volume: Volume, placement: Placement, plan: Plan) -> np.ndarray:
    """Returns the network input `(D, H, W, C)`, float32: cropped, normalised, resampled, in that order."""
    return resample_prepared(crop_and_normalize(volume, placement, plan), placement)


def crop_and_normalize(volume: Volume, placement: Placement, plan: Plan) -> np.ndarray:
    """Returns the cropped and normalised image `(D, H, W, C)`, float32, at the spacing of the file."""
    image = crop(volume.array.transpose(*plan.axis_order, 3), placement.box)
    mask = nonzero_mask(image) if plan.nonzero_mask else None
    if image.shape[3] == 1:  # the case of large CT volumes: one copy less
        return normalize(image[..., 0], plan.normalization[0], mask)[..., np.newaxis]
    normalized = np.empty(image.shape, np.float32)
    for index, how in enumerate(plan.normalization):
        normalized[..., index] = normalize(image[..., index], how, mask)
    return normalized


def resample_prepared(normalized: np.ndarray, placement: Placement) -> np.ndarray:
    """Returns the image of `crop_and_normalize` at the spacing of the network."""
    return resample_image(normalized, placement.prepared_shape, placement.spacing, placement.prepared_spacing)


def prepare_label(classes: np.ndarray, placement: Placement, plan: Plan) -> np.ndarray:
    """Returns class indices `(z, y, x)` as the target `(D, H, W)` that belongs to `prepare_image`, same dtype."""
    cropped = cropped_view(classes, placement, plan)
    return resample_label(cropped, placement.prepared_shape, placement.spacing, placement.prepared_spacing)


def cropped_view(array: np.ndarray, placement: Placement, plan: Plan) -> np.ndarray:
    """Returns the cropped region `(D, H, W)` of an array `(z, y, x)` of the whole volume, as a view to read or write.

    Prediction writes into it; what lies outside the box keeps its value.
    """
    return crop(array.transpose(plan.axis_order), placement.box)


def _in_network_order(spacing: tuple[float, float, float], plan: Plan) -> tuple[float, float, float]:
    first, second, third = (spacing[axis] for axis in plan.axis_order)
    return first, second, third


def estimate_memory(case: Case, plan: Plan) -> int:
    """Returns the bytes that preparing a case will take at most.

    From the headers alone. A file that cannot be read counts as nothing: reading it in full will tell why.
    """
    voxels = 0.0
    for header in filter(None, map(read_header, case.images)):
        affine = header.get_best_affine()
        if not is_usable(affine):
            continue
        spacing = _in_network_order(spacing_zyx(affine), plan)
        growth = math.prod(before / after for before, after in zip(spacing, _target(spacing, plan), strict=True))
        voxels += math.prod(header.get_data_shape()) * max(1.0, growth)
    return PROCESS_BYTES + int(min(voxels, MOST_COUNTED) * BYTES_PER_VOXEL * COPIES)


def check_prepared_size(path: Path, volume: Volume, plan: Plan) -> None:
    """Raises Unusable where the volume, read from `path`, would have too many voxels at the spacing of the network."""
    spacing = _in_network_order(volume.spacing, plan)
    voxels = volume.array.size * math.prod(
        before / after for before, after in zip(spacing, _target(spacing, plan), strict=True)
    )
    if voxels > max_voxels():
        sizes = " x ".join(f"{size:g}" for size in volume.spacing)
        problem = f"its voxels measure {sizes} mm: at the network's spacing there would be {voxels:.2g} of them"
        raise unusable(path, Row.MEMORY, problem, "correct the spacing in its header, or raise --max-voxels")


def _target(spacing: tuple[float, float, float], plan: Plan) -> tuple[float, ...]:
    """The spacing after resampling of a volume of `spacing`, both in network order."""
    return plan.spacing if plan.dim == 3 else (spacing[0], *plan.spacing)
