"""How much memory a case will take, told from its header, and how much there is."""

import gzip
import math
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import psutil
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from data_preprocessing.dataset import Case
from data_preprocessing.orientation import spacing_zyx
from data_preprocessing.plan import Plan

BYTES_PER_VOXEL = 4  # float32
COPIES = 4  # a case's peak, in volumes of the larger of its two sizes; measured in docs/preprocessing.md
PROCESS_BYTES = 200 * 2**20  # the interpreter and its libraries
SHARE_OF_FREE = 0.8  # left to others: a fifth of what is free
HEADER_BYTES = 540  # of NIfTI-2, the larger one


def free_memory() -> int:
    """Returns the bytes that preprocessing may take where the user does not say: most of what is free now."""
    return int(psutil.virtual_memory().available * SHARE_OF_FREE)


def estimate_memory(case: Case, plan: Plan) -> int:
    """Returns the bytes that preprocessing a case will take at most.

    From the headers alone. A file that cannot be read counts as nothing: reading it in full will tell why.
    """
    voxels = 0
    for path in case.images:
        header = read_header(path)
        if header is not None:
            shape = header.get_data_shape()
            voxels += math.prod(shape) * max(1.0, _enlargement(header.get_best_affine(), plan))
    return PROCESS_BYTES + int(voxels * BYTES_PER_VOXEL * COPIES)


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


def _enlargement(affine: np.ndarray, plan: Plan) -> float:
    """Voxels after resampling for each voxel before."""
    spacing = spacing_zyx(affine)
    in_order = [spacing[axis] for axis in plan.axis_order]
    target = plan.spacing if plan.dim == 3 else (in_order[0], *plan.spacing)
    return math.prod(before / after for before, after in zip(in_order, target, strict=True))
