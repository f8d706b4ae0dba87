"""Opening and saving an image file of any format: on reading it becomes a NIfTI image in memory.

So all that follows, from the checks of its grid to prediction, knows NIfTI alone.
"""

import math
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import atomic_path
from data_preprocessing.images.checks.file_format import CONVERT_AGAIN, COPY_AGAIN, check_format
from data_preprocessing.images.checks.finding import Row, refuse, unusable
from data_preprocessing.images.checks.geometry import CORRECT_AFFINE, Grid, check_affine
from data_preprocessing.images.formats.registry import format_of, is_lossy
from data_preprocessing.images.formats.sidecar import write_spacing
from data_preprocessing.images.formats.stored import PictureGrid, Stored
from data_preprocessing.images.limits import max_voxels, out_of_memory
from data_preprocessing.images.nifti_file import NiftiImage, open_nifti, read_nifti_header, spatial_shape
from data_preprocessing.images.orientation import is_usable

COLOURS = 3


def load_image(path: Path, as_label: bool = False) -> NiftiImage:
    """Returns the whole file, read into memory and checked: complete, undamaged, with a usable affine.

    Raises Unusable, a UserError, naming the file and what is wrong with it.
    """
    image, grid = open_image(path, as_label)
    refuse(path, *check_affine(grid))
    return image


def open_image(path: Path, as_label: bool = False) -> tuple[NiftiImage, Grid]:
    """Returns the whole file, or DICOM folder, and its grid, on which nothing has been checked yet.

    With `as_label` it is to hold label numbers: a picture with a palette gives its indices, and a JPEG is refused, as
    it changes numbers. Raises Unusable for a file that is missing, incomplete, damaged or not what its name says.
    """
    with reading(path), np.errstate(all="ignore"):  # a header can hold any number
        return _open_image(path, as_label)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Report any failure inside the block as a problem of the file, so that one file does not end a run.

    What a reader did not foresee is named with its place in the code, to be reported.
    """
    try:
        yield
    except UserError:
        raise
    except MemoryError:
        raise out_of_memory(path) from None
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        problem = f"cannot be read ({type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {error})"
        raise unusable(path, Row.UNREADABLE, problem, CONVERT_AGAIN) from error


def _open_image(path: Path, as_label: bool) -> tuple[NiftiImage, Grid]:
    if not (path.exists() or path.suffix):
        raise unusable(path, Row.LISTING, "no such file or folder", "correct the path")
    entry = format_of(path)
    if entry is None:
        return open_nifti(path)
    try:
        if path.stat().st_size == 0 and not path.is_dir():
            raise unusable(path, Row.EMPTY_FILE, "the file is empty", COPY_AGAIN)
        if as_label and is_lossy(path):
            problem = "a JPEG file does not keep label numbers"
            raise unusable(path, Row.LOSSY_LABEL, problem, "save the label as PNG from its source")
        stored = entry.read(path, as_label)
    except FileNotFoundError:
        raise unusable(path, Row.LISTING, "no such file", "correct the path") from None
    except OSError as error:
        raise unusable(path, Row.LISTING, f"cannot be read ({error.strerror})", "check the file") from None
    image = _in_memory(path, _single(path, stored) if as_label else stored)
    return image, Grid(spatial_shape(image), image.affine, image.header, image.header["pixdim"][1:4], stored.findings)


def read_header(path: Path) -> nib.Nifti1Header | nib.Nifti2Header | None:
    """Returns the header of a file without reading its voxels, or None where there is none that voxels can be read by.

    Its affine is usable. Reading the file in full tells what is wrong with it.
    """
    try:
        with reading(path), np.errstate(all="ignore"):
            entry = format_of(path)
            header = read_nifti_header(path) if entry is None else _in_memory(path, entry.look(path)).header
            if header is None or not is_usable(header.get_best_affine()):
                return None
            refuse(path, *check_format(header))
            return header if math.prod(header.get_data_shape()) <= max_voxels() else None
    except UserError:
        return None


def save_image(path: Path, image: NiftiImage) -> None:
    """Writes an image in the format that the suffix of `path` names, atomically.

    But for NIfTI: label numbers, under the geometry that the scan they belong to was read with.
    """
    entry = format_of(path)
    with atomic_path(path) as temporary:
        if entry is None:
            nib.save(image, temporary)
        elif entry.write is not None:
            try:
                entry.write(temporary, image)
                _write_spacing(path, image)
            except UserError as error:
                raise UserError(f"{path}: {error}") from None
        else:
            raise ValueError(f"{path}: nothing is written in this format")


def with_channels(path: Path, image: NiftiImage, channels: int | None) -> NiftiImage:
    """Returns `image`, of a picture whose three colours are all equal only one where one channel is wanted."""
    grid = image.extra.get("geometry")
    if channels != 1 or image.shape[3:] != (COLOURS,) or not (isinstance(grid, PictureGrid) and grid.in_colours):
        return image
    voxels = np.asarray(image.dataobj)
    return _in_memory(path, Stored(voxels[..., 0], image.affine, grid)) if _is_grey(voxels) else image


def _single(path: Path, stored: Stored) -> Stored:
    """A label that was saved as a colour picture."""
    if not (isinstance(stored.geometry, PictureGrid) and stored.geometry.in_colours):
        return stored
    if not _is_grey(stored.voxels):
        remedy = "save it with one number a pixel, grey or with a palette"
        raise unusable(path, Row.LABEL_SHAPE, "a label in colours", remedy)
    return replace(stored, voxels=stored.voxels[..., 0])


def _write_spacing(path: Path, image: NiftiImage) -> None:
    """Where the scan's spacing stood beside it, that of its segmentation does."""
    grid = image.extra.get("geometry")
    if isinstance(grid, PictureGrid) and grid.spacing is not None:
        write_spacing(path, grid.spacing)


def _is_grey(voxels: np.ndarray) -> bool:
    return all(np.array_equal(voxels[..., 0], voxels[..., colour]) for colour in (1, 2))


def _in_memory(path: Path, stored: Stored) -> NiftiImage:
    """A NIfTI image of what was read; NIfTI-1 where its header has room for the size."""
    if not is_usable(stored.affine):
        raise unusable(path, Row.SINGULAR_AFFINE, "its affine is singular or not finite", CORRECT_AFFINE)
    if 0 in stored.voxels.shape:
        raise unusable(path, Row.NO_VOXELS, f"no voxels, shape {stored.voxels.shape}", CONVERT_AGAIN)
    voxels = stored.voxels.astype(np.float32) if stored.voxels.dtype == np.float16 else stored.voxels
    kind = nib.Nifti1Image if max(voxels.shape) <= np.iinfo(np.int16).max else nib.Nifti2Image
    extra = {"geometry": stored.geometry, "modality": stored.modality}
    image: NiftiImage = kind(voxels, stored.affine, extra=extra, dtype=voxels.dtype)
    image.header.set_xyzt_units("mm")
    return image
