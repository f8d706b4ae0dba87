"""Checks of a NIfTI header as it stands in the file: whether voxels can be made of it at all."""

import math

from nibabel.nifti1 import Nifti1Header, data_type_codes
from nibabel.spatialimages import HeaderDataError

from data_preprocessing.checks.finding import Finding, Row, error
from data_preprocessing.wording import counted

COPY_AGAIN = "copy it again from its source"
CONVERT_AGAIN = "convert it again from its source"
AXES_OF_SPACE = 3


def check_format(header: Nifti1Header) -> list[Finding]:
    """All that keeps voxels from being made of a file with this header; the first finding may bring about others."""
    return [*_check_magic(header), *_check_dimensions(header), *_check_voxel_type(header), *_check_scaling(header)]


def _check_magic(header: Nifti1Header) -> list[Finding]:
    """Another magic string than that of a single NIfTI file."""
    magic = header["magic"].item()
    if magic == header.single_magic:
        return []
    return [error(Row.NOT_NIFTI, f"not a valid NIfTI file (magic string {magic!r})", CONVERT_AGAIN)]


def _check_dimensions(header: Nifti1Header) -> list[Finding]:
    """No axis, or one without a voxel."""
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


def check_length(length: int, expected: int) -> list[Finding]:
    """Fewer bytes, uncompressed, than the header says; more do no harm."""
    if length >= expected:
        return []
    problem = f"truncated, {length} of {expected} bytes are there"
    return [error(Row.SHORTER_THAN_ITS_HEADER_SAYS, problem, COPY_AGAIN)]


def check_axes(shape: tuple[int, ...]) -> list[Finding]:
    """More axes of an image than three of space and one of channels."""
    if len(shape) <= AXES_OF_SPACE + 1:
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
