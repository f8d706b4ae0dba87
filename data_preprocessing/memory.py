"""How much memory a case will take, told from its header, and how much there is."""

import math

import psutil

from data_preprocessing.dataset import Case
from data_preprocessing.image_file import read_header

BYTES_PER_VOXEL = 4  # float32
COPIES_TO_READ = 3  # of a file only looked at
PROCESS_BYTES = 200 * 2**20  # the interpreter and its libraries
SHARE_OF_FREE = 0.8  # left to others: a fifth of what is free


def free_memory() -> int:
    """Returns the bytes that preprocessing may take where the user does not say: most of what is free now."""
    return int(psutil.virtual_memory().available * SHARE_OF_FREE)


def estimate_reading(case: Case) -> int:
    """Returns the bytes that reading image and label of a case, and looking at them, will take at most."""
    headers = [header for header in map(read_header, case.images) if header is not None]
    voxels = sum(math.prod(header.get_data_shape()) for header in headers)
    return PROCESS_BYTES + voxels * BYTES_PER_VOXEL * COPIES_TO_READ
