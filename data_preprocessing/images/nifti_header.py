"""Correct the NIfTI headers that ITK, FSL and SPM read and nibabel refuses or reads differently.

Source of what they do: nifti1_io.c of the NIfTI reference library.
"""

import io
import math
import warnings

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from nibabel.volumeutils import endian_codes

from data_preprocessing.images.checks.file_format import is_near_rotation

SECOND_SIZES = tuple((540).to_bytes(4, order) for order in ("little", "big"))
FIRST_SIZES = tuple((348).to_bytes(4, order) for order in ("little", "big"))
MAGIC_BYTES = slice(344, 347)
SECOND_MAGIC_BYTES = slice(4, 7)
FLAG_BYTES = 4  # after the header: whether extensions follow
HIGHEST_CODE = 5  # that nibabel knows of qform and sform; it takes a higher one for "not set"
ALIGNED = 2  # coordinates of an unspecified space

NiftiHeader = nib.Nifti1Header | nib.Nifti2Header


def is_nifti(content: bytes) -> bool:
    """Returns whether `content` begins like a NIfTI file, by its magic string or the size of its header."""
    return (
        content.startswith(FIRST_SIZES) or content[MAGIC_BYTES] == b"n+1" or header_class(content) is nib.Nifti2Header
    )


def header_class(content: bytes) -> type[NiftiHeader]:
    """Returns the class of the version of NIfTI that `content` begins with."""
    second = content.startswith(SECOND_SIZES) or content[SECOND_MAGIC_BYTES] == b"n+2"
    return nib.Nifti2Header if second else nib.Nifti1Header


def stated_header(content: bytes) -> NiftiHeader:
    """Returns the header as it stands in the file; raises nibabel's WrapStructError where the file is shorter."""
    kind = header_class(content)
    return kind(content[: kind.template_dtype.itemsize], check=False)


def correct_header(content: bytes) -> bytes:
    """Returns the content of a file of one header and its voxels, corrected where nibabel needs it; else itself.

    - A quaternion a hair longer than 1 is brought to length 1.
    - A negative `pixdim[0]` is -1, and any sform or qform code over 0 counts as set.
    - An unset `vox_offset` (0) or one right behind the header (348) is that which the file's length allows.
    - Extensions that do not follow one another up to the voxels are left out.

    What else is wrong stays as it is.
    """
    header = stated_header(content)
    header_size = header.template_dtype.itemsize
    before = header.binaryblock
    _correct_quaternion(header)
    if header["pixdim"][0] < 0:
        header["pixdim"][0] = -1
    for field in ("qform_code", "sform_code"):
        if header[field] > HIGHEST_CODE:
            header[field] = ALIGNED
    filler = _correct_offset(header, len(content))
    flag = content[header_size : header_size + FLAG_BYTES]
    if not filler and flag[:1] not in (b"", b"\0") and not _has_extensions(content, header):
        flag = bytes(len(flag))
    if header.binaryblock == before and not filler and flag == content[header_size : header_size + FLAG_BYTES]:
        return content
    rest = memoryview(content)[header_size if filler else header_size + FLAG_BYTES :]
    return b"".join((header.binaryblock, filler or flag, rest))


def _correct_quaternion(header: NiftiHeader) -> None:
    names = ("quatern_b", "quatern_c", "quatern_d")
    quaternion = np.array([header[name] for name in names], np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        length = float(np.linalg.norm(quaternion))
    if length > 1 and is_near_rotation(length):
        for name, number in zip(names, quaternion / length, strict=True):
            header[name] = number


def _correct_offset(header: NiftiHeader, length: int) -> bytes:
    """Sets `vox_offset`; returns the bytes to insert after the header, where voxels follow it at once."""
    header_size, stated = header.template_dtype.itemsize, float(header["vox_offset"])
    if stated not in (0, header_size) or header["magic"].item() != header.single_magic:
        return b""
    try:
        voxels = math.prod(header.get_data_shape()) * header.get_data_dtype().itemsize
    except (HeaderDataError, KeyError):
        return b""
    behind_header = length == header_size + voxels
    if behind_header or (stated == 0 and length == header_size + FLAG_BYTES + voxels):
        header["vox_offset"] = header_size + FLAG_BYTES
    return bytes(FLAG_BYTES) if behind_header else b""


def _has_extensions(content: bytes, header: NiftiHeader) -> bool:
    """Whether nibabel can read the extensions between the header and the voxels."""
    start, offset = header.template_dtype.itemsize + FLAG_BYTES, float(header["vox_offset"])
    if not math.isfinite(offset):
        return False
    part = content[start : int(max(offset, start))]
    try:
        with warnings.catch_warnings(action="ignore"):
            header.exts_klass.from_fileobj(io.BytesIO(part), len(part), header.endianness != endian_codes["native"])
    except (HeaderDataError, ValueError, OverflowError):
        return False
    return True
