"""Volumes with their geometry, from NIfTI files and back into them.

SimpleITK is not used for NIfTI: it fills truncated files with zeros and turns NaN into 0, without a word.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from data_preprocessing.checks import file_format, geometry
from data_preprocessing.checks.finding import refuse
from data_preprocessing.checks.voxels import check_finite, check_label_values, measure
from data_preprocessing.files import atomic_path
from data_preprocessing.nifti_file import NiftiImage, load_nifti, spatial_shape, stored
from data_preprocessing.orientation import from_ras_zyx, spacing_zyx, to_ras_zyx

LABEL_INTENT = "label"  # NIfTI intent code 1002: viewers show a label map


@dataclass(frozen=True)
class Volume:
    """An image on its RAS+ grid.

    `array` is float32 `(z, y, x, channel)`, `spacing` mm `(z, y, x)`, `source` the file whose grid the volume came
    from.
    """

    array: np.ndarray
    spacing: tuple[float, float, float]
    source: NiftiImage


def read_image(paths: tuple[Path, ...]) -> Volume:
    """Returns the image of one case: one file, 2D to 4D (the last axis its channels), or one 3D file a channel.

    Raises UserError when a file is damaged, has NaN or Inf in it, or the channel files disagree in geometry.
    """
    first = load_nifti(paths[0])
    array = _oriented_voxels(paths[0], first)
    grid = _without_voxels(first)
    if len(paths) > 1:
        others = [_channel_file(path, grid) for path in paths[1:]]
        array = np.concatenate([array, *others], axis=file_format.AXES_OF_SPACE)
    return Volume(array, spacing_zyx(grid.affine), grid)


def _channel_file(path: Path, first: NiftiImage) -> np.ndarray:
    image = load_nifti(path)
    grids = (spatial_shape(image), image.affine, spatial_shape(first), first.affine)
    refuse(path, *geometry.check_channel_grid(*grids))
    return _oriented_voxels(path, image)


def stored_channels(path: Path, image: NiftiImage) -> tuple[np.ndarray, float, float]:
    """Returns the voxels of an image as its file stores them, `(i, j, k, channel)`, and their slope and intercept.

    Raises Unusable for more axes than these.
    """
    refuse(path, *file_format.check_axes(image.shape))
    shape = spatial_shape(image) + (image.shape[file_format.AXES_OF_SPACE :] or (1,))
    proxy = stored(image)
    return proxy.get_unscaled().reshape(shape, order="F"), proxy.slope, proxy.inter


def _oriented_voxels(path: Path, image: NiftiImage) -> np.ndarray:
    """The voxels as float32 `(z, y, x, channel)`, scaled; one copy of the volume, never float64."""
    voxels, slope, intercept = stored_channels(path, image)
    array = _scaled(to_ras_zyx(voxels, image.affine), slope, intercept)
    refuse(path, *check_finite([measure("any", array)]))
    return array


def _scaled(voxels: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """A copy in float32, contiguous; what is beyond float32 becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        array = np.array(voxels, np.float32, order="C")
        if slope != 1:
            array *= np.float32(slope)
        if intercept != 0:
            array += np.float32(intercept)
    return array


def _without_voxels(image: NiftiImage) -> NiftiImage:
    """The same header over voxels that take no memory."""
    return type(image)(np.broadcast_to(np.uint8(0), image.shape), image.affine, image.header)


def read_label(path: Path, volume: Volume, trust_grid: bool = False) -> np.ndarray:
    """Returns the numbers of a label file, unsigned `(z, y, x)`, on the grid of `volume`.

    Raises UserError when the file is damaged, not integer, negative, or on another grid than the image. With
    `trust_grid` another affine is passed over: the file's voxels are those of the image's file, one for one.
    """
    image = load_nifti(path)
    refuse(
        path,
        *file_format.check_label_axes(image.shape),
        *geometry.check_label_shape(spatial_shape(image), spatial_shape(volume.source)),
    )
    refuse(path, *geometry.check_label_grid(image.affine, volume.source.affine, trust_grid))
    # By the image's affine: near 45 degrees a difference in the last digit would turn the label another way.
    return np.ascontiguousarray(to_ras_zyx(_label_numbers(path, image), volume.source.affine))


def load_label(path: Path) -> tuple[np.ndarray, NiftiImage]:
    """Returns a label file's numbers, unsigned `(z, y, x)`, and its header; raises UserError as `read_label` does."""
    image = load_nifti(path)
    return np.ascontiguousarray(to_ras_zyx(_label_numbers(path, image), image.affine)), _without_voxels(image)


def stored_label(path: Path, image: NiftiImage) -> np.ndarray:
    """Returns the voxels of a label file, `(i, j, k)`: as stored, or float32 where they are scaled.

    Raises Unusable for more than one number a voxel.
    """
    refuse(path, *file_format.check_label_axes(image.shape))
    proxy = stored(image)
    voxels = proxy.get_unscaled().reshape(spatial_shape(image), order="F")
    return voxels if (proxy.slope, proxy.inter) == (1, 0) else _scaled(voxels, proxy.slope, proxy.inter)


def _label_numbers(path: Path, image: NiftiImage) -> np.ndarray:
    """Numbers `(i, j, k)` in the smallest unsigned type that holds them."""
    voxels = stored_label(path, image)
    refuse(path, *check_label_values(voxels))
    if voxels.dtype.kind == "f":
        voxels = np.rint(voxels)
    return voxels.astype(np.min_scalar_type(int(voxels.max())))


def same_grid(first: np.ndarray, second: np.ndarray) -> bool:
    """Returns whether two affines (mm) describe the same voxel positions, within `geometry.GRID_TOLERANCE`."""
    return geometry.grid_difference(first, second) <= geometry.GRID_TOLERANCE


def write_label(path: Path, labels: np.ndarray, source: NiftiImage) -> None:
    """Writes label numbers `(z, y, x)` on the voxel grid of `source`, atomically.

    The header is a copy of the source's: shape (but for channels), sform, qform and their codes, units. The type is
    uint8, uint16 past 255.
    """
    shape = source.shape if math.prod(source.shape) == labels.size else source.shape[:3]  # without channels
    voxels = from_ras_zyx(labels, source.affine).reshape(shape)
    dtype = np.min_scalar_type(int(voxels.max(initial=0)))
    header = source.header.copy()
    header.set_data_dtype(dtype)
    header.set_intent(LABEL_INTENT)
    header["cal_min"] = header["cal_max"] = 0  # the source's display window
    # No affine given: nibabel then keeps sform, qform and both codes as they stand in the header.
    image = type(source)(np.ascontiguousarray(voxels, dtype), None, header)
    with atomic_path(path) as temporary:
        nib.save(image, temporary)
