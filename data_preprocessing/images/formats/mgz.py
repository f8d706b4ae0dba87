"""MGZ and MGH, FreeSurfer's volumes, through nibabel."""

import math
import struct
import zlib
from pathlib import Path

import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.freesurfer.mghformat import MGHError, MGHHeader, MGHImage, data_type_codes
from nibabel.nifti1 import Nifti1Image
from nibabel.nifti2 import Nifti2Image
from nibabel.openers import ImageOpener
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from data_preprocessing.images.checks.file_format import CONVERT_AGAIN, check_length
from data_preprocessing.images.checks.finding import Row, refuse, unusable
from data_preprocessing.images.formats.stored import Stored, no_voxels, one_number_a_voxel
from data_preprocessing.images.nifti_file import read_content

HEADER_BYTES = 284
FOOTER_BYTES = 2**16  # how it was acquired, after the voxels
VERSION = b"\x00\x00\x00\x01"  # the first four bytes of every such file
INVALID = (
    MGHError, ImageFileError, HeaderDataError, WrapStructError, ValueError, KeyError, TypeError, OverflowError, OSError,
    EOFError, zlib.error,
)  # fmt: skip


def read(path: Path, as_label: bool) -> Stored:
    """Returns the voxels and the affine that the header gives; raises Unusable for a damaged file."""
    content = read_content(path, ".mgz", ".mgh", _is_mgh, HEADER_BYTES, _stated_length)
    try:
        with np.errstate(all="ignore"):  # a header can hold any number
            image = MGHImage.from_bytes(content)
        header: MGHHeader = image.header
        shape = tuple(map(int, image.shape))  # nibabel has them in 32 bits, whose product may wrap around
        dtype = header.get_data_dtype()
        refuse(path, *check_length(len(content), header.get_data_offset() + math.prod(shape) * dtype.itemsize))
        voxels = np.asarray(image.dataobj)
    except INVALID as error:
        raise _invalid(path, error) from None
    return Stored(one_number_a_voxel(path, voxels), np.array(image.affine, np.float64), header)


def _is_mgh(content: bytes) -> bool:
    return content.startswith(VERSION)


def _stated_length(path: Path, start: bytes) -> tuple[tuple[int, ...], int, int]:
    """What `read_content` needs; after the voxels there are a few numbers more."""
    if not _is_mgh(start):
        raise _invalid(path, ValueError("another version number than 1"))
    *shape, code = struct.unpack_from(">5i", start, len(VERSION))
    if code not in data_type_codes.code:
        raise unusable(path, Row.VOXEL_TYPE, f"voxels of type {code}", "convert it to one number a voxel")
    if min(shape) < 1:
        raise _invalid(path, ValueError(f"shape {tuple(shape)}"))
    itemsize = np.dtype(data_type_codes.numpy_dtype[code]).itemsize  # type: ignore[call-overload]
    return tuple(shape), itemsize, HEADER_BYTES + math.prod(shape) * itemsize + FOOTER_BYTES


def look(path: Path) -> Stored:
    """Returns shape, type and affine by the header."""
    try:
        with ImageOpener(str(path)) as stream, np.errstate(all="ignore"):
            header = MGHHeader.from_fileobj(stream)
        return Stored(no_voxels(header.get_data_shape(), header.get_data_dtype()), header.get_affine(), header)
    except INVALID as error:
        raise _invalid(path, error) from None


def write(path: Path, image: Nifti1Image | Nifti2Image) -> None:
    """Writes label numbers under a copy of the header of the scan; past 255 they take 32 bits, as MGH has no uint16."""
    header = image.extra["geometry"].copy()
    voxels = np.asarray(image.dataobj)
    dtype = np.uint8 if voxels.dtype == np.uint8 else np.int32
    header.set_data_dtype(dtype)
    MGHImage(voxels.astype(dtype), image.affine, header).to_filename(path)


def _invalid(path: Path, error: Exception) -> Exception:
    return unusable(path, Row.UNREADABLE, f"not a valid MGH file ({error})", CONVERT_AGAIN)
