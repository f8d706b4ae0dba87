"""How much memory a case will take, told from its header."""

import math

from data_preprocessing.dataset.dataset import Case
from data_preprocessing.images.image_file import read_header

BYTES_PER_VOXEL = 4  # float32
COPIES_TO_READ = 3  # of a file only looked at
PROCESS_BYTES = 200 * 2**20  # the interpreter and its libraries


def estimate_reading(case: Case) -> int:
    """Returns the bytes that reading image and label of a case, and looking at them, will take at most."""
    headers = [header for header in map(read_header, case.images) if header is not None]
    voxels = sum(math.prod(header.get_data_shape()) for header in headers)
    return PROCESS_BYTES + voxels * BYTES_PER_VOXEL * COPIES_TO_READ
