"""Refuse a volume by its header alone: more voxels than the limit, more bytes than memory or than its file can hold."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

from data_preprocessing.common.defaults import MAX_VOXELS, MAX_VOXELS_VARIABLE
from data_preprocessing.common.machine import available_memory
from data_preprocessing.images.checks.file_format import COPY_AGAIN
from data_preprocessing.images.checks.finding import Row, Unusable, unusable

DEFLATE_RATIO = 1032  # at most so many bytes come of one, by the format (RFC 1951)


def max_voxels() -> int:
    """Returns the most voxels, all channels together, that a volume may have."""
    stated = os.environ.get(MAX_VOXELS_VARIABLE, "")
    return int(stated) if stated.isdecimal() else MAX_VOXELS


def check_size(path: Path, shape: Sequence[int], bytes_per_voxel: int, deflated_bytes: int | None = None) -> None:
    """Raises Unusable where voxels of `shape` are over the limit or do not fit into memory.

    `deflated_bytes`: the compressed bytes (zlib, gzip) that they are to come from, where that is how they are stored.
    """
    voxels = math.prod(map(int, shape))
    if voxels > max_voxels():
        raise unusable(path, Row.MEMORY, f"{voxels} voxels by its header, over the limit of {max_voxels()}",
                       "check the file, or raise the limit with --max-voxels")  # fmt: skip
    size = voxels * bytes_per_voxel
    if deflated_bytes is not None and size > (deflated_bytes + 1) * DEFLATE_RATIO:
        problem = f"truncated, {deflated_bytes} compressed bytes cannot hold {size}"
        raise unusable(path, Row.SHORTER_THAN_ITS_HEADER_SAYS, problem, COPY_AGAIN)
    free = available_memory()
    if size > free:
        problem = f"takes {size / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} GiB are free"
        raise unusable(path, Row.MEMORY, problem, "cut it into parts, or use a machine with more memory")


def out_of_memory(path: Path) -> Unusable:
    """Returns the exception for a file whose header asks for more memory than the system gives."""
    return unusable(path, Row.MEMORY, "takes more memory than there is", "check its size, or cut it into parts")
