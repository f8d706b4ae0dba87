"""Checks of a NIfTI header as it stands in the file: whether voxels can be made of it at all."""

import math

import numpy as np
from nibabel.nifti1 import Nifti1Header, data_type_codes
from nibabel.spatialimages import HeaderDataError

from data_preprocessing.common.text import counted
from data_preprocessing.images.checks.finding import Finding, Row, error

COPY_AGAIN = "copy it again from its source"
CONVERT_AGAIN = "convert it again from its source"
SAVE_AS_ONE = "save both as one .nii.gz file"
AXES_OF_SPACE = 3
HIGHEST_AXES = 7  # of NIfTI
QUATERNION_TOLERANCE = 5e-3  # of the length: two decimals for a number of the quaternion stay under it


def check_format(header: Nifti1Header) -> list[Finding]:
    """All that keeps voxels from being made of a file with this header; the first finding may bring about others."""
    checks = (_check_magic, _check_dimensions, _check_voxel_type, _check_scaling, _check_quaternion)
    return [finding for check in checks for finding in check(header)]


def _check_magic(header: Nifti1Header) -> list[Finding]:
    """Another magic string than that of a single NIfTI file."""
    magic = header["magic"].item()
    if magic == header.single_magic:
        return []
    if magic == header.pair_magic:
        problem = "not a valid NIfTI file by itself: a header whose voxels are in an .img file"
        return [error(Row.NOT_NIFTI, problem, SAVE_AS_ONE)]
    return [error(Row.NOT_NIFTI, f"not a valid NIfTI file (magic string {magic!r})", CONVERT_AGAIN)]


def _check_dimensions(header: Nifti1Header) -> list[Finding]:
    """No axis, more than NIfTI has, or one without a voxel."""
    axes = int(header["dim"][0])
    if axes > HIGHEST_AXES:
        return [error(Row.NO_VOXELS, f"{axes} axes, where NIfTI has up to {HIGHEST_AXES}", CONVERT_AGAIN)]
    shape = header.get_data_shape()
    if min(shape, default=0) > 0:
        return []
    return [error(Row.NO_VOXELS, f"no voxels, shape {shape}", CONVERT_AGAIN)]


def _check_voxel_type(header: Nifti1Header) -> list[Finding]:
    """Anything but one real number a voxel."""
    try:
        if header.get_data_dtype().kind in "iuf":
            return []
    except (HeaderDataError, KeyError):  # a code that stands for nothing
        pass
    code = int(header["datatype"])
    name = data_type_codes.label[code] if code in data_type_codes.value_set() else f"type {code}"
    return [error(Row.VOXEL_TYPE, f"{name} voxels", "convert it to one number a voxel")]


def _check_scaling(header: Nifti1Header) -> list[Finding]:
    """A slope that is to be applied with an intercept that cannot be. A slope of 0 or NaN means no scaling."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not math.isfinite(slope) or math.isfinite(intercept):
        return []
    problem = f"its scl_slope is {slope:g} but its scl_inter is {intercept:g}"
    return [error(Row.INVALID_INTERCEPT, problem, "write the right intercept into the header")]


def _check_quaternion(header: Nifti1Header) -> list[Finding]:
    """A qform, where no sform is there to be used, whose quaternion is no rotation."""
    if header["sform_code"] > 0 or header["qform_code"] <= 0:
        return []
    with np.errstate(over="ignore"):
        length = float(np.linalg.norm([float(header[name]) for name in ("quatern_b", "quatern_c", "quatern_d")]))
    if not math.isfinite(length) or is_near_rotation(length):
        return []
    problem = f"its qform is no rotation (b, c and d of its quaternion have length {length:g})"
    return [error(Row.SINGULAR_AFFINE, problem, "write the right one into the header")]


def is_near_rotation(length: float) -> bool:
    """Returns whether `b, c, d` of this length are those of a unit quaternion, rounding aside."""
    return length <= 1 + QUATERNION_TOLERANCE


def check_offset(offset: int, smallest: int) -> list[Finding]:
    """Voxels that begin within the header."""
    if offset >= smallest:
        return []
    problem = f"its vox_offset is {offset}, and its header takes {smallest} bytes"
    return [error(Row.NOT_NIFTI, problem, CONVERT_AGAIN)]


def check_stated_bits(header: Nifti1Header, length: int) -> list[Finding]:
    """A `bitpix` that contradicts the data type, in a file whose `length` bytes of voxels agree with it alone."""
    stated, bits = int(header["bitpix"]), header.get_data_dtype().itemsize * 8
    voxels = math.prod(header.get_data_shape())
    if stated in (0, bits) or length != voxels * stated // 8 or length == voxels * bits // 8:
        return []
    problem = f"its header says {header.get_data_dtype()} voxels and {stated} bits a voxel"
    return [error(Row.VOXEL_TYPE, problem, CONVERT_AGAIN)]


def check_length(length: int, expected: int) -> list[Finding]:
    """Fewer bytes, uncompressed, than the header says; more do no harm."""
    if length >= expected:
        return []
    problem = f"truncated, {length} of {expected} bytes are there"
    return [error(Row.SHORTER_THAN_ITS_HEADER_SAYS, problem, COPY_AGAIN)]


def check_axes(shape: tuple[int, ...]) -> list[Finding]:
    """More axes of an image than three of space and one of channels, but for axes of length 1 at the end."""
    if math.prod(shape[AXES_OF_SPACE + 1 :]) == 1:
        return []
    return [error(Row.TOO_MANY_AXES, f"{len(shape)} axes, shape {shape}", "give 3D, or 4D with channels last")]


def check_label_axes(shape: tuple[int, ...]) -> list[Finding]:
    """More axes of a label than three of space."""
    if math.prod(shape[AXES_OF_SPACE:]) == 1:
        return []
    problem = f"a label file has one number a voxel, this has shape {shape}"
    return [error(Row.LABEL_SHAPE, problem, "split it")]


def check_channel_count(count: int, names: tuple[str, ...]) -> list[Finding]:
    """Another number of channels than dataset.json names."""
    if count == len(names):
        return []
    problem = f"{counted(count, 'channel')} where dataset.json has {len(names)} ({', '.join(names)})"
    return [error(Row.CHANNEL_COUNT, problem, "give an image with those channels")]
