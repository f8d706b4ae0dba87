"""Volumes with their geometry, from image files and back into them.

SimpleITK is not used for NIfTI: it fills truncated files with zeros and turns NaN into 0, without a word.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from nibabel.arrayproxy import ArrayProxy

from data_preprocessing.images.checks import file_format, geometry, grids
from data_preprocessing.images.checks.finding import Finding, refuse
from data_preprocessing.images.checks.voxels import check_finite, check_label_values, measure
from data_preprocessing.images.image_file import load_image, open_image, save_image, with_channels
from data_preprocessing.images.label_table import set_label_names
from data_preprocessing.images.nifti_file import NiftiImage, checked_grid, spatial_shape, stored
from data_preprocessing.images.orientation import from_ras_zyx, lay_on, spacing_zyx

FREE_TEXT = ("descrip", "aux_file", "db_name", "data_type")  # fields of the header that say what anyone wrote
LABEL_INTENT = "label"  # NIfTI intent code 1002: viewers show a label map


@dataclass(frozen=True)
class Volume:
    """An image on its RAS+ grid.

    `array` is float32 `(z, y, x, channel)`, `spacing` mm `(z, y, x)`, `source` the file whose grid the volume came
    from, `findings` what is odd about that grid: warnings. `modalities` are those that the files name, one per file,
    in DICOM's terms; empty where a file names none.
    """

    array: np.ndarray
    spacing: tuple[float, float, float]
    source: NiftiImage
    findings: tuple[Finding, ...] = ()
    modalities: tuple[str, ...] = ("",)


def read_image(paths: tuple[Path, ...], finite: bool = True, channels: int | None = None) -> Volume:
    """Returns the image of one case: one file, 2D to 4D (the last axis its channels), or one 3D file a channel.

    Where as many `channels` are wanted as there are files, a picture in grey that was saved in colours has one. Raises
    UserError when a file is damaged, the channel files disagree in geometry or, unless `finite` is false, there is NaN
    or Inf in one.
    """
    a_file = 1 if channels == len(paths) else None
    image, grid = open_image(paths[0])
    volume = _volume(paths[0], with_channels(paths[0], image, a_file), grid, finite)
    if len(paths) == 1:
        return volume
    others = [_channel_file(path, volume.source, finite, a_file) for path in paths[1:]]
    array = np.concatenate([volume.array, *(voxels for voxels, _ in others)], axis=file_format.AXES_OF_SPACE)
    return replace(volume, array=array, modalities=(*volume.modalities, *(modality for _, modality in others)))


def volume_of(image: NiftiImage, name: str, finite: bool = True) -> Volume:
    """Returns an image in memory, or opened by nibabel, as `read_image` does a file; `name` stands in for its path."""
    refuse(Path(name), *file_format.check_format(image.header))
    with np.errstate(all="ignore"):  # a header can hold any number
        pixdim = np.array(image.header["pixdim"][1:4], np.float64)
    return _volume(Path(name), image, geometry.Grid(spatial_shape(image), image.affine, image.header, pixdim), finite)


def _volume(path: Path, image: NiftiImage, grid: geometry.Grid, finite: bool) -> Volume:
    findings = checked_grid(path, grid)
    voxels, source = _oriented_voxels(path, image, finite, image.affine), _without_voxels(image)
    return Volume(voxels, spacing_zyx(image.affine), source, findings, (stated_modality(image),))


def stated_modality(image: NiftiImage) -> str:
    """Returns the modality that the file of an image named, in DICOM's terms, or an empty string."""
    return str(image.extra.get("modality", ""))


def _channel_file(path: Path, first: NiftiImage, finite: bool, channels: int | None) -> tuple[np.ndarray, str]:
    """Voxels and modality of a further file of a case."""
    image = with_channels(path, load_image(path), channels)
    refuse(path, *grids.check_channel_grid(*file_grid(image), *file_grid(first)))
    return _oriented_voxels(path, image, finite, first.affine), stated_modality(image)


def stored_channels(path: Path, image: NiftiImage) -> tuple[np.ndarray, float, float]:
    """Returns the voxels of an image as its file stores them, `(i, j, k, channel)`, and their slope and intercept.

    Raises Unusable for more axes than these.
    """
    refuse(path, *file_format.check_axes(image.shape))
    shape = (*spatial_shape(image), math.prod(image.shape[file_format.AXES_OF_SPACE :]))
    if not isinstance(image.dataobj, ArrayProxy):  # made in memory
        return np.asarray(image.dataobj).reshape(shape), 1.0, 0.0
    proxy = stored(image)
    return proxy.get_unscaled().reshape(shape, order="F"), proxy.slope, proxy.inter


def _oriented_voxels(path: Path, image: NiftiImage, finite: bool, reference: np.ndarray) -> np.ndarray:
    """The voxels as float32 `(z, y, x, channel)`, scaled, on the grid of a file with the affine `reference`.

    One copy of the volume, never float64.
    """
    voxels, slope, intercept = stored_channels(path, image)
    array = _scaled(lay_on(voxels, image.affine, reference), slope, intercept)
    if finite:
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
    return type(image)(np.broadcast_to(np.uint8(0), image.shape), image.affine, image.header, image.extra)


def read_label(path: Path, volume: Volume, trust_grid: bool = False) -> np.ndarray:
    """Returns the numbers of a label file, unsigned `(z, y, x)`, on the grid of `volume`.

    Its file may store the voxels in another order than the image's. Raises UserError when the file is damaged, not
    integer, negative, or on another grid than the image. With `trust_grid` another origin or spacing is passed over:
    the label's voxels are those of the image, one for one.
    """
    image = load_image(path, as_label=True)
    refuse(path, *file_format.check_label_axes(image.shape))
    refuse(path, *grids.check_label_grid(*file_grid(image), *file_grid(volume.source), trust_grid))
    return numbers_on(path, image, volume.source.affine)


def numbers_on(path: Path, image: NiftiImage, reference: np.ndarray) -> np.ndarray:
    """Returns the numbers of a label file, read as `image`, unsigned `(z, y, x)`, on the grid of a file with the affine
    `reference`; raises UserError where they are none."""
    return np.ascontiguousarray(lay_on(_label_numbers(path, image), image.affine, reference))


def file_grid(image: NiftiImage) -> tuple[tuple[int, int, int], np.ndarray]:
    """Returns shape `(i, j, k)` and affine (mm) of a file."""
    return spatial_shape(image), image.affine


def load_label(path: Path) -> tuple[np.ndarray, NiftiImage]:
    """Returns a label file's numbers, unsigned `(z, y, x)`, and its header; raises UserError as `read_label` does."""
    image = load_image(path, as_label=True)
    return numbers_on(path, image, image.affine), _without_voxels(image)


def stored_label(path: Path, image: NiftiImage) -> np.ndarray:
    """Returns the voxels of a label file, `(i, j, k)`: as stored, or float64 where they are scaled.

    Raises Unusable for more than one number a voxel.
    """
    refuse(path, *file_format.check_label_axes(image.shape))
    if not isinstance(image.dataobj, ArrayProxy):  # of another format than NIfTI
        return np.asarray(image.dataobj).reshape(spatial_shape(image))
    proxy = stored(image)
    voxels = proxy.get_unscaled().reshape(spatial_shape(image), order="F")
    if (proxy.slope, proxy.inter) == (1, 0):
        return voxels
    return voxels * np.float64(proxy.slope) + np.float64(proxy.inter)  # float32 would merge numbers past 2**24


def _label_numbers(path: Path, image: NiftiImage) -> np.ndarray:
    """Numbers `(i, j, k)` in the smallest unsigned type that holds them."""
    voxels = stored_label(path, image)
    refuse(path, *check_label_values(voxels))
    if voxels.dtype.kind == "f":
        voxels = np.rint(voxels)
    return voxels.astype(np.min_scalar_type(int(voxels.max())))


def same_grid(first: np.ndarray, second: np.ndarray) -> bool:
    """Returns whether two affines (mm) describe the same voxel positions, within `grids.GRID_TOLERANCE`."""
    return float(np.abs(first - second).max()) <= grids.GRID_TOLERANCE


def label_image(
    labels: np.ndarray, source: NiftiImage, names: Mapping[int, str] | None = None, keep_text: bool = False
) -> NiftiImage:
    """Returns label numbers `(z, y, x)` as an image on the voxel grid of `source`.

    The header is a copy of the source's: shape (but for channels), sform, qform and their codes, units. The type is
    uint8, uint16 past 255. Its free text and extensions, where converters put names of patients, come along with
    `keep_text` only. With `names` the header holds the name and color of each label number.
    """
    shape = source.shape if math.prod(source.shape) == labels.size else source.shape[:3]  # without channels
    voxels = from_ras_zyx(labels, source.affine).reshape(shape)
    dtype = np.min_scalar_type(int(voxels.max(initial=0)))
    image = _on_grid(np.ascontiguousarray(voxels, dtype), source, LABEL_INTENT, keep_text)
    image.header["cal_min"] = image.header["cal_max"] = 0  # the source's display window
    if names:
        set_label_names(image.header, names)
    return image


def write_label(
    path: Path,
    labels: np.ndarray,
    source: NiftiImage,
    names: Mapping[int, str] | None = None,
    keep_text: bool = False,
) -> None:
    """Writes label numbers `(z, y, x)` as the image `label_image` makes of them, atomically.

    In the format of the suffix of `path`, which is NIfTI's or that of the file that `source` came from.
    """
    save_image(path, label_image(labels, source, names, keep_text))


def write_map(
    path: Path,
    values: np.ndarray,
    source: NiftiImage,
    unit: float = 1.0,
    intent: str = "none",
    keep_text: bool = False,
) -> None:
    """Writes `unit * values`, `(z, y, x)` or `(z, y, x, n)`, on the voxel grid of `source`, atomically.

    The file holds `values` in their own type and `unit` as its slope; they may lie on disk (`np.memmap`) and are passed
    on one of the `n` at a time. The header is otherwise that of `label_image`.
    """
    shape = (*spatial_shape(source), *values.shape[3:])
    image = _on_grid(from_ras_zyx(values, source.affine).reshape(shape), source, intent, keep_text)
    image.header["cal_min"], image.header["cal_max"] = 0, unit * np.iinfo(values.dtype).max if unit != 1 else 0
    image.header.set_slope_inter(unit, 0)
    save_image(path, image)


def _on_grid(voxels: np.ndarray, source: NiftiImage, intent: str, keep_text: bool) -> NiftiImage:
    header = source.header.copy()
    if not keep_text:
        for field in FREE_TEXT:
            if field in header:  # NIfTI-2 has fewer
                header[field] = b""
        header.extensions = type(header.extensions)()
    header.set_data_dtype(voxels.dtype)
    header.set_intent(intent)
    # An affine that is the header's own: nibabel then keeps sform, qform and both codes as they stand there.
    return type(source)(voxels, source.affine, header, source.extra)
