"""The state of a training run in one file, so that it can go on after a stop."""

import zipfile
from pathlib import Path

import keras
import numpy as np

from data_preprocessing.errors import UserError
from data_preprocessing.files import atomic_path
from nnunet_tf.training.settings import CHECKPOINT_NAME


def save_checkpoint(
    folder: Path, network: keras.Model, optimizer: keras.optimizers.Optimizer, epochs_done: int
) -> None:
    """Writes weights, optimiser state and the number of finished epochs, atomically and without pickle."""
    arrays = {"epochs_done": np.array(epochs_done)}
    for name, variable in _variables(network, optimizer).items():
        arrays[name] = keras.ops.convert_to_numpy(variable)
    with atomic_path(folder / CHECKPOINT_NAME) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def load_checkpoint(folder: Path, network: keras.Model, optimizer: keras.optimizers.Optimizer) -> int:
    """Puts a saved state into network and optimiser; returns how many epochs were finished.

    Raises UserError when there is none, it is damaged, or it belongs to another network.
    """
    path = folder / CHECKPOINT_NAME
    variables = _variables(network, optimizer)
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as saved:
            arrays = {name: saved[name] for name in saved.files}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; nothing to resume, train without --resume") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: damaged ({error}); train without --resume") from None
    epochs_done = int(arrays.pop("epochs_done"))
    if {name: array.shape for name, array in arrays.items()} != {n: tuple(v.shape) for n, v in variables.items()}:
        raise UserError(
            f"{path}: belongs to another network; resume with the same shards, --amp and --deep-supervision as before"
        )
    for name, variable in variables.items():
        variable.assign(arrays[name])
    return epochs_done


def _variables(network: keras.Model, optimizer: keras.optimizers.Optimizer) -> dict[str, keras.Variable]:
    numbered = {f"network/{index}": variable for index, variable in enumerate(network.variables)}
    return numbered | {f"optimizer/{index}": variable for index, variable in enumerate(optimizer.variables)}
