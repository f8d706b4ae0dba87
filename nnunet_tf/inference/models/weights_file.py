"""Read weights: nothing larger than the network, nothing outside the file, numbers only."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data_preprocessing.common.errors import UserError

if TYPE_CHECKING:
    import h5py
    import keras

SPARE_BYTES = 2**20  # names of layers, and whatever else Keras keeps beside the weights
MOST_OBJECTS = 100_000


def load_weights(network: "keras.Model", path: Path, remedy: str) -> None:
    """Gives `network` the weights in an HDF5 file as Keras writes it.

    Raises UserError, ending in `remedy`, where they are damaged, do not fit, or are NaN or infinite.
    """
    import h5py

    try:
        with h5py.File(path) as file:
            expected = sum(weight.nbytes for weight in network.get_weights())
            check_content(path, file, 2 * expected + SPARE_BYTES, remedy)
        with warnings.catch_warnings(action="ignore"):  # Keras warns of each layer before it refuses
            network.load_weights(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        reason = str(error).partition(". ")[0].partition("\n")[0]
        raise UserError(f"{path}: does not hold this network's weights ({reason}); {remedy}") from None
    broken = next((weight.path for weight in network.weights if not is_finite(np.asarray(weight))), None)
    if broken:
        raise UserError(f"{path}: {broken} holds NaN or Inf; {remedy}")


def check_content(path: Path, file: "h5py.File", most: int, remedy: str) -> None:
    """Raises UserError where what is in the file, by its headers, would take over `most` bytes, or lies elsewhere.

    Who reads a data set reads it whole before shapes are compared.
    """
    import h5py

    size, count, left = 0, 0, [file["/"]]
    while left:
        group = left.pop()
        for name in group:
            count += 1
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink) or count > MOST_OBJECTS:
                raise UserError(f"{path}: {name[:40]!r} leads out of the file, or there is too much in it; {remedy}")
            item = group[name]
            if isinstance(item, h5py.Group):
                left.append(item)
            elif isinstance(item, h5py.Dataset):
                if item.external or item.is_virtual:
                    raise UserError(f"{path}: {name[:40]!r} lies in another file; {remedy}")
                size += item.size * item.dtype.itemsize
    if size > most:
        raise UserError(f"{path}: holds {size} bytes, and the network at most {most}; {remedy}")


def is_finite(values: np.ndarray) -> bool:
    """Returns whether weights of any type are numbers."""
    return values.dtype.kind not in "fV" or bool(np.isfinite(values.astype(np.float32, copy=False)).all())
