"""Choose how a scan is shown: gray values by a window of CT or by percentiles, sides, and the unit of lengths."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_preprocessing.images.formats.registry import is_picture
from data_preprocessing.images.formats.stored import PictureGrid
from data_preprocessing.images.nifti_file import NiftiImage
from data_preprocessing.images.volume_io import Volume

CT_WINDOWS = {"lung": (-1350.0, 150.0), "soft tissue": (-160.0, 240.0), "bone": (-500.0, 1300.0)}  # HU
LUNG_BELOW, BONE_ABOVE = -400.0, 250.0  # HU, median of what is segmented
PERCENTILES = (0.5, 99.5)
MOST_SAMPLES = 2**20  # voxels looked at


@dataclass(frozen=True)
class Look:
    """How a scan is shown. `as_stored`: a picture, rows from top to bottom; `unit` is that of its spacing."""

    is_ct: bool = False
    as_stored: bool = False
    unit: str = "mm"


def look_of(path: Path, volume: Volume, channel: str = "") -> Look:
    """Returns how the first channel of a scan in the file `path` is shown; `channel` is its name where it has one."""
    is_ct = volume.modalities[0] == "CT" or channel.strip().lower() == "ct"
    return Look(is_ct, is_picture(path), "pixels" if has_no_spacing(volume.source) else "mm")


def has_no_spacing(source: NiftiImage) -> bool:
    """Returns whether a file is a picture that states no size of its pixels."""
    grid = source.extra.get("geometry")
    return isinstance(grid, PictureGrid) and grid.spacing is None


def display_window(image: np.ndarray, labels: np.ndarray, is_ct: bool) -> tuple[float, float]:
    """Returns the values (black, white) to show `image` `(z, y, x)` with, `labels` being what is drawn on it."""
    if is_ct:
        inside = _sample(image, labels != 0)
        middle = float(np.median(inside)) if inside.size else 0.0
        name = "lung" if middle < LUNG_BELOW else "bone" if middle > BONE_ABOVE else "soft tissue"
        return CT_WINDOWS[name]
    values = _sample(image, None)
    nonzero = values[values != 0]
    low, high = map(float, np.percentile(nonzero if nonzero.size else values, PERCENTILES))
    return low, max(high, low + 1e-6)


def scale_length(width: float) -> float:
    """Returns a length of 1, 2 or 5 times a power of ten, at most a third of `width`.

    >>> scale_length(400)
    100.0
    """
    power = 10.0 ** np.floor(np.log10(width / 3))
    return float(max(step * power for step in (1, 2, 5) if step * power <= width / 3))


def _sample(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Some voxels, evenly spread over the image, or over those of a mask."""
    if mask is None:
        step = max(1, round((image.size / MOST_SAMPLES) ** (1 / 3)))
        return image[::step, ::step, ::step].ravel()
    places = np.flatnonzero(mask)
    places = places[:: max(1, len(places) // MOST_SAMPLES)]
    return image.reshape(-1)[places] if image.flags.c_contiguous else image[np.unravel_index(places, image.shape)]
