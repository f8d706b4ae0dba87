"""How much memory a case will take, told from its header, and how much there is."""

import gzip
import math
import zlib
from pathlib import Path

import nibabel as nib
import psutil
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from data_preprocessing.dataset import Case

BYTES_PER_VOXEL = 4  # float32
COPIES_TO_READ = 3  # of a file only looked at
PROCESS_BYTES = 200 * 2**20  # the interpreter and its libraries
SHARE_OF_FREE = 0.8  # left to others: a fifth of what is free
HEADER_BYTES = 540  # of NIfTI-2, the larger one


def free_memory() -> int:
    """Returns the bytes that preprocessing may take where the user does not say: most of what is free now."""
    return int(psutil.virtual_memory().available * SHARE_OF_FREE)


def estimate_reading(case: Case) -> int:
    """Returns the bytes that reading image and label of a case, and looking at them, will take at most."""
    headers = [header for header in map(read_header, case.images) if header is not None]
    voxels = sum(math.prod(header.get_data_shape()) for header in headers)
    return PROCESS_BYTES + voxels * BYTES_PER_VOXEL * COPIES_TO_READ


def read_header(path: Path) -> nib.Nifti1Header | nib.Nifti2Header | None:
    """Returns the header of a NIfTI file without reading its voxels, or None where there is none to be read."""
    try:
        with gzip.open(path) if path.name.endswith(".gz") else open(path, "rb") as stream:
            start = stream.read(HEADER_BYTES)
        second_version = start[:4] in (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c")
        kind, size = (nib.Nifti2Header, 540) if second_version else (nib.Nifti1Header, 348)
        return kind(start[:size])
    except (OSError, EOFError, zlib.error, HeaderDataError, WrapStructError, ValueError):
        return None
