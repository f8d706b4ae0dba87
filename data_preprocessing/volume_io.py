"""Reading and writing NIfTI volumes with their geometry, through nibabel.

SimpleITK is not used for NIfTI: it fills truncated files with zeros and turns NaN into 0, without a word.
"""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from data_preprocessing.errors import UserError
from data_preprocessing.files import atomic_path
from data_preprocessing.orientation import from_ras_zyx, spacing_zyx, to_ras_zyx

NIFTI_SUFFIXES = (".nii.gz", ".nii")
LABEL_INTENT = "label"  # NIfTI intent code 1002: viewers show a label map
LABEL_TOLERANCE = 1e-3  # float labels this close to an integer are that integer
GRID_TOLERANCE = 1e-3  # affines this close (mm) describe the same grid
AXES_OF_SPACE = 3

NiftiImage: TypeAlias = nib.Nifti1Image | nib.Nifti2Image


@dataclass(frozen=True)
class Volume:
    """An image on its RAS+ grid.

    `array` is float32 `(z, y, x, channel)`, `spacing` mm `(z, y, x)`, `source` the file whose grid the volume came
    from.
    """

    array: np.ndarray
    spacing: tuple[float, float, float]
    source: NiftiImage


def case_name(path: Path) -> str:
    """Returns a file's name without its NIfTI suffix; raises UserError for another kind of file."""
    for suffix in NIFTI_SUFFIXES:
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix)
    raise UserError(f"{path}: not a NIfTI file; give .nii.gz or .nii")


def load_nifti(path: Path) -> NiftiImage:
    """Returns the whole file, read into memory and checked: complete, uncorrupted, with a usable affine.

    Raises UserError naming the file for what BAD_INPUT rows 1-5, 7 and 19 describe.
    """
    case_name(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; correct the path") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the file") from None
    if not content:
        raise UserError(f"{path}: the file is empty; copy it again from its source")
    compressed = content.startswith(b"\x1f\x8b")
    if compressed != path.name.endswith(".gz"):
        kind, suffix = ("gzip", ".nii.gz") if compressed else ("not gzip", ".nii")
        raise UserError(f"{path}: the content is {kind}; rename it to {case_name(path)}{suffix}")
    if compressed:
        try:
            content = gzip.decompress(content)  # to the end: a wrong checksum is seen here
        except (EOFError, OSError, zlib.error) as error:
            raise UserError(f"{path}: truncated or damaged ({error}); copy it again from its source") from None
    return _parse(path, content)


def _parse(path: Path, content: bytes) -> NiftiImage:
    second_version = content[:4] in (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c")  # header size 540, either endianness
    try:
        image = (nib.Nifti2Image if second_version else nib.Nifti1Image).from_bytes(content)
        expected = image.header.get_data_offset() + image.header.get_data_dtype().itemsize * int(np.prod(image.shape))
    except (ImageFileError, HeaderDataError, ValueError, EOFError) as error:
        raise UserError(f"{path}: not a valid NIfTI file ({error}); convert it again from its source") from None
    if len(content) < expected:
        raise UserError(
            f"{path}: truncated, {len(content)} of {expected} bytes are there; copy it again from its source"
        )
    if 0 in image.shape:
        raise UserError(f"{path}: an axis of length 0, shape {image.shape}; convert it again from its source")
    affine = image.affine
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise UserError(f"{path}: its affine is singular or not finite; write the right one into the header")
    if image.get_data_dtype().kind not in "iuf":
        raise UserError(f"{path}: {image.get_data_dtype()} voxels; convert it to one number a voxel")
    return image


def read_image(paths: tuple[Path, ...]) -> Volume:
    """Returns the image of one case: one file, 2D to 4D (the last axis its channels), or one 3D file a channel.

    Raises UserError when a file is damaged, has NaN or Inf in it, or the channel files disagree in geometry.
    """
    images = [load_nifti(path) for path in paths]
    first = images[0]
    channels = [_spatial_voxels(path, image) for path, image in zip(paths, images, strict=True)]
    for path, image, voxels in zip(paths[1:], images[1:], channels[1:], strict=True):
        if voxels.shape[:3] != channels[0].shape[:3] or not same_grid(image.affine, first.affine):
            raise UserError(f"{path}: its grid differs from that of {paths[0]}; a case has one grid")
    voxels = channels[0] if len(channels) == 1 else np.concatenate(channels, axis=AXES_OF_SPACE)
    array = np.ascontiguousarray(to_ras_zyx(voxels, first.affine))
    return Volume(array, spacing_zyx(first.affine), first)


def _spatial_voxels(path: Path, image: NiftiImage) -> np.ndarray:
    """The voxels as float32 `(i, j, k, channel)`, scaled, never through float64."""
    voxels = image.get_fdata(dtype=np.float32, caching="unchanged")
    if voxels.ndim > AXES_OF_SPACE + 1:
        raise UserError(f"{path}: {voxels.ndim} axes, shape {voxels.shape}; give 3D, or 4D with channels last")
    if voxels.ndim <= AXES_OF_SPACE:
        voxels = voxels.reshape((*spatial_shape(image), 1))
    if not np.isfinite(voxels).all():
        raise UserError(f"{path}: contains NaN or Inf; replace those voxels by the background value")
    return voxels


def spatial_shape(image: NiftiImage) -> tuple[int, int, int]:
    """Returns the file's `(i, j, k)` extent; missing axes count 1."""
    i, j, k = (*image.shape, 1, 1)[:3]
    return i, j, k


def read_label(path: Path, volume: Volume) -> np.ndarray:
    """Returns the numbers of a label file, int64 `(z, y, x)`, on the grid of `volume`.

    Raises UserError when the file is damaged, not integer, negative, or on another grid than the image.
    """
    labels, image = load_label(path)
    if labels.shape != volume.array.shape[:3]:
        raise UserError(
            f"{path}: shape {labels.shape} differs from its image's {volume.array.shape[:3]}; labels are never resized"
        )
    if not same_grid(image.affine, volume.source.affine):
        raise UserError(f"{path}: its affine differs from its image's; bring both onto one grid")
    return labels


def load_label(path: Path) -> tuple[np.ndarray, NiftiImage]:
    """Returns a label file's numbers, int64 `(z, y, x)`, and the file; raises UserError as `read_label` does."""
    image = load_nifti(path)
    voxels = np.asanyarray(image.dataobj)
    if voxels.size != np.prod(spatial_shape(image)):
        raise UserError(f"{path}: a label file has one number a voxel, this has shape {image.shape}; split it")
    if voxels.dtype.kind == "f":
        rounded = np.rint(voxels)
        if not np.abs(voxels - rounded).max() <= LABEL_TOLERANCE:  # also true for NaN
            raise UserError(f"{path}: fractional or NaN label values (interpolated?); export the labels as integers")
        voxels = rounded
    if voxels.min() < 0:
        raise UserError(f"{path}: negative label value {voxels.min():g}; export the labels as 0, 1, 2, ...")
    labels = to_ras_zyx(voxels.reshape(spatial_shape(image)).astype(np.int64), image.affine)
    return np.ascontiguousarray(labels), image


def same_grid(first: np.ndarray, second: np.ndarray) -> bool:
    """Returns whether two affines (mm) describe the same voxel positions, within `GRID_TOLERANCE`."""
    return bool(np.abs(first - second).max() <= GRID_TOLERANCE)


def write_label(path: Path, labels: np.ndarray, source: NiftiImage) -> None:
    """Writes label numbers `(z, y, x)` on the voxel grid of `source`, atomically.

    The header is a copy of the source's: shape, sform, qform and their codes, units. The type is uint8, uint16 past
    255.
    """
    voxels = from_ras_zyx(labels, source.affine).reshape(source.shape[:3])
    dtype = np.uint8 if voxels.max(initial=0) <= np.iinfo(np.uint8).max else np.uint16
    header = source.header.copy()
    header.set_data_dtype(dtype)
    header.set_intent(LABEL_INTENT)
    header["cal_min"] = header["cal_max"] = 0  # the source's display window
    # No affine given: nibabel then keeps sform, qform and both codes as they stand in the header.
    image = type(source)(np.ascontiguousarray(voxels, dtype), None, header)
    with atomic_path(path) as temporary:
        nib.save(image, temporary)
