"""Opening a NIfTI file, through nibabel: read once and whole, so that damage anywhere in it is seen."""

import gzip
import io
import math
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias, cast

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.filebasedimages import ImageFileError
from nibabel.imageglobals import logger as nibabel_logger
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from data_preprocessing.images.checks.file_format import (
    CONVERT_AGAIN,
    COPY_AGAIN,
    check_format,
    check_length,
    check_offset,
    check_stated_bits,
)
from data_preprocessing.images.checks.finding import Finding, Row, Unusable, refuse, unusable
from data_preprocessing.images.checks.geometry import Grid, check_affine, check_header
from data_preprocessing.images.inflate import GZIP_MAGIC, decompressed
from data_preprocessing.images.limits import check_size
from data_preprocessing.images.nifti_header import (
    FLAG_BYTES,
    correct_header,
    header_class,
    is_nifti,
    stated_header,
)

NIFTI_SUFFIXES = (".nii.gz", ".nii")
HEADER_BYTES = 544  # of NIfTI-2, the larger one, with the flag after it
HIGHEST_OFFSET = 2**30  # bytes of extensions before the voxels
HIGHEST_BITS = 128  # of a voxel
KINDS = {".nii": "NIfTI", ".mgh": "MGH"}

nibabel_logger.disabled = True  # it tells what nibabel mends in a header; the checks tell what matters of it

NiftiImage: TypeAlias = nib.Nifti1Image | nib.Nifti2Image


def nifti_name(path: Path) -> str:
    """Returns a file's name without its NIfTI suffix; raises UserError for another kind of file."""
    suffix = nifti_suffix(path)
    if not suffix:
        raise unusable(path, Row.NOT_NIFTI, "not a NIfTI file", "give .nii.gz or .nii")
    return path.name.removesuffix(suffix)


def nifti_suffix(path: Path) -> str:
    """Returns the NIfTI suffix of a file as its name has it, in small letters or capitals; empty for another file."""
    length = next((len(suffix) for suffix in NIFTI_SUFFIXES if path.name.lower().endswith(suffix)), 0)
    return path.name[len(path.name) - length :]


def load_nifti(path: Path) -> NiftiImage:
    """Returns the whole file, read into memory and checked: complete, undamaged, with a usable affine.

    Raises Unusable, a UserError, naming the file and what is wrong with it.
    """
    image, grid = open_nifti(path)
    refuse(path, *check_affine(grid))
    return image


def checked_grid(path: Path, grid: Grid) -> tuple[Finding, ...]:
    """Returns the warnings about a file's grid; raises Unusable where its affine is none."""
    affine = check_affine(grid)
    refuse(path, *affine)
    return tuple(finding.at(path) for finding in [*affine, *check_header(grid)])


def open_nifti(path: Path) -> tuple[NiftiImage, Grid]:
    """Returns the whole file, read into memory, and its grid, on which nothing has been checked yet.

    Raises Unusable for a file that is missing, incomplete or damaged, or does not hold one real number a voxel.
    """
    nifti_name(path)
    try:
        return _parse(path, read_content(path, ".nii.gz", ".nii", is_nifti, HEADER_BYTES, _stated_length))
    except FileNotFoundError:
        raise unusable(path, Row.LISTING, "no such file", "correct the path") from None
    except OSError as error:
        raise unusable(path, Row.LISTING, f"cannot be read ({error.strerror})", "check the file") from None


def read_content(
    path: Path,
    compressed_suffix: str,
    plain_suffix: str,
    is_known: Callable[[bytes], bool],
    header_bytes: int,
    stated_length: Callable[[Path, bytes], tuple[Sequence[int], int, int]],
) -> bytes:
    """Returns the content of a file, decompressed where it is gzip: no more than `stated_length` says.

    `is_known` tells by the first bytes, decompressed, whether it is of the kind; `stated_length` returns of the first
    `header_bytes` the voxels' shape, the bytes of each, and those of the content that are of use. What follows is
    decompressed in blocks for its checksum, and dropped. Raises Unusable where the file is damaged or too large, or its
    name says otherwise.
    """
    with open(path, "rb") as stream:
        start = stream.read(header_bytes)
        if not start:
            raise unusable(path, Row.EMPTY_FILE, "the file is empty", COPY_AGAIN)
        compressed = start.startswith(GZIP_MAGIC)
        if not (compressed or is_known(start)):
            problem = "not a NIfTI file: neither gzip nor a NIfTI header"
            raise unusable(path, Row.NOT_NIFTI, problem.replace("NIfTI", KINDS[plain_suffix]), CONVERT_AGAIN)
        if compressed != path.name.lower().endswith(compressed_suffix):
            kind, suffix = ("gzip", compressed_suffix) if compressed else ("not gzip", plain_suffix)
            name = path.name[: -len(plain_suffix if compressed else compressed_suffix)]
            raise unusable(path, Row.WRONG_SUFFIX, f"the content is {kind}", f"rename it to {name}{suffix}")
        stream.seek(0)
        if not compressed:
            shape, itemsize, _ = stated_length(path, start)
            check_size(path, shape, itemsize)
            return stream.read()
        return _inflate(path, decompressed(path, stream, "zlib"), header_bytes, stated_length)


def _inflate(
    path: Path,
    blocks: Iterator[bytes],
    header_bytes: int,
    stated_length: Callable[[Path, bytes], tuple[Sequence[int], int, int]],
) -> bytes:
    """The start of a stream, as far as its own header says, and its end seen."""
    content, length = io.BytesIO(), None
    for block in blocks:
        room = len(block) if length is None else max(length - content.tell(), 0)
        content.write(block[:room])
        if length is None and content.tell() >= header_bytes:
            shape, itemsize, length = stated_length(path, content.getbuffer()[:header_bytes].tobytes())
            check_size(path, shape, itemsize, path.stat().st_size)
    if length is None:  # a tiny volume
        shape, itemsize, _ = stated_length(path, content.getvalue())
        check_size(path, shape, itemsize, path.stat().st_size)
    return content.getvalue()


def _stated_length(path: Path, start: bytes) -> tuple[Sequence[int], int, int]:
    """One byte more than voxels and header take, so that it can be told that there are more."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            header = stated_header(start)
            refuse(path, *check_format(header))
            shape, itemsize = header.get_data_shape(), header.get_data_dtype().itemsize
    except (HeaderDataError, WrapStructError, ValueError, KeyError) as error:
        raise _invalid(path, error) from None
    stated = float(header["vox_offset"])
    offset = int(stated) if 0 <= stated < HIGHEST_OFFSET else 0
    bits = max(8 * itemsize, min(int(header["bitpix"]), HIGHEST_BITS))
    header_size = header.template_dtype.itemsize + FLAG_BYTES
    return shape, itemsize, max(offset, header_size) + math.prod(shape) * bits // 8 + 1


def _parse(path: Path, content: bytes) -> tuple[NiftiImage, Grid]:
    kind = nib.Nifti2Image if header_class(content) is nib.Nifti2Header else nib.Nifti1Image
    try:
        with warnings.catch_warnings(action="ignore"):  # checks tell what matters
            header = stated_header(content)
            refuse(path, *check_format(header))
            content = correct_header(content)
            image: NiftiImage = kind.from_bytes(content)
            pixdim = np.array(header["pixdim"][1:4], np.float64)
        refuse(path, *check_offset(stored(image).offset, kind.header_class.single_vox_offset))
        refuse(path, *check_stated_bits(header, len(content) - stored(image).offset))
        expected = stored(image).offset + stored(image).dtype.itemsize * math.prod(image.shape)
        refuse(path, *check_length(len(content), expected))
    except (ImageFileError, HeaderDataError, WrapStructError, ValueError, OverflowError, OSError) as error:
        raise _invalid(path, error) from None
    return image, Grid(spatial_shape(image), image.affine, image.header, pixdim)


def _invalid(path: Path, error: Exception) -> Unusable:
    reason = str(error).partition("\n")[0]
    return unusable(path, Row.NOT_NIFTI, f"not a valid NIfTI file ({reason})", CONVERT_AGAIN)


def read_nifti_header(path: Path) -> nib.Nifti1Header | nib.Nifti2Header | None:
    """Returns the header of a NIfTI file without reading its voxels, or None where there is none to be read."""
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else open(path, "rb") as stream:
            start = stream.read(HEADER_BYTES)
        kind = header_class(start)
        return kind(correct_header(start)[: kind.template_dtype.itemsize])
    except (OSError, EOFError, zlib.error, HeaderDataError, WrapStructError, ValueError):
        return None


def stored(image: NiftiImage) -> ArrayProxy:
    """Returns the voxels as they are in the file, before slope and intercept."""
    return cast(ArrayProxy, image.dataobj)


def spatial_shape(image: NiftiImage) -> tuple[int, int, int]:
    """Returns the file's `(i, j, k)` extent; missing axes count 1."""
    i, j, k = (*image.shape, 1, 1)[:3]
    return i, j, k
