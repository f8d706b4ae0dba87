"""The weights of a network by the names of its layers, from a Keras file or a Keras network, without TensorFlow."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data_preprocessing.common.errors import UserError
from nnunet_tf.inference.models.folder import DAMAGED
from nnunet_tf.inference.models.weights_file import check_content, is_finite

if TYPE_CHECKING:
    import keras

Weights = Mapping[str, Sequence[np.ndarray]]
"""Name of each layer to its arrays, in Keras' order and layout: kernel `(*kernel, inputs, outputs)`, then bias."""


class UnknownWeights(ValueError):
    """The file does not hold the weights that a network needs, under the names of its layers."""


def read_weights(path: Path) -> dict[str, list[np.ndarray]]:
    """Returns the arrays of a `.weights.h5` file, float32, by layer; layers without any are left out.

    Raises UnknownWeights where the file is damaged, or written by a version of Keras that kept no names;
    UserError where it would take more memory than its own size, leads to other files, or holds NaN or Inf.
    """
    import h5py

    found = {}
    try:
        with h5py.File(path) as file:
            check_content(path, file, path.stat().st_size, DAMAGED)  # Keras compresses nothing
            for group in file["layers"].values():
                variables = group["vars"]
                if len(variables):
                    arrays = [np.asarray(variables[str(index)], np.float32) for index in range(len(variables))]
                    found[str(variables.attrs["name"])] = arrays
    except (OSError, KeyError, ValueError, AttributeError, TypeError) as error:
        raise UnknownWeights(str(error).partition("\n")[0]) from None
    broken = next((name for name, arrays in found.items() if not all(map(is_finite, arrays))), None)
    if broken:
        raise UserError(f"{path}: {broken} holds NaN or Inf; {DAMAGED}")
    return found


def weights_of(network: "keras.Model") -> dict[str, list[np.ndarray]]:
    """Returns the arrays of a network in memory, float32, by layer."""
    return {
        layer.name: [np.asarray(weight, np.float32) for weight in layer.weights]
        for layer in network.layers
        if layer.weights
    }
