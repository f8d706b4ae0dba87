"""The state of a training run in one file, so that it can go on after a stop as if there had been none."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import atomic_path
from nnunet_tf.training.config.settings import CHECKPOINT_NAME

ANOTHER_NETWORK = "belongs to another network; resume with the same shards and options as before"
MOST_BYTES = 8  # of one number
SPARE_BYTES = 2**12  # an array's header, and a scalar

State = Mapping[str, Sequence[keras.Variable]]
"""All that a run carries from step to step, by what it belongs to, such as the network."""


def save_checkpoint(folder: Path, state: State, epochs_done: int) -> None:
    """Writes the state and the number of finished epochs, atomically and without pickle."""
    arrays = {name: keras.ops.convert_to_numpy(variable) for name, variable in _named(state).items()}
    with atomic_path(folder / CHECKPOINT_NAME) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, allow_pickle=False, epochs_done=np.array(epochs_done), **arrays)


def load_checkpoint(folder: Path, state: State) -> int:
    """Puts what was saved into the variables of `state`; returns how many epochs were finished.

    Raises UserError, with nothing changed, when there is none, it is damaged, or it belongs to another network.
    """
    path = folder / CHECKPOINT_NAME
    variables = _named(state)
    try:
        with open(path, "rb") as stream, zipfile.ZipFile(stream) as archive:
            if _is_larger(archive, variables):
                raise UserError(f"{path}: {ANOTHER_NETWORK}")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as saved:
                arrays = {name: saved[name] for name in saved.files}
        epochs_done = int(arrays.pop("epochs_done"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; nothing to resume, train without --resume") from None
    except (OSError, ValueError, EOFError, KeyError, TypeError, NotImplementedError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: damaged ({error}); train without --resume but with --overwrite") from None
    if {name: array.shape for name, array in arrays.items()} != {n: tuple(v.shape) for n, v in variables.items()}:
        raise UserError(f"{path}: {ANOTHER_NETWORK}")
    for name, variable in variables.items():
        variable.assign(arrays[name])
    return epochs_done


def _is_larger(archive: zipfile.ZipFile, variables: Mapping[str, keras.Variable]) -> bool:
    """Whether the arrays would take far more memory than the variables; raises ValueError where they are compressed."""
    stated = sum(info.file_size for info in archive.infolist())
    largest = sum(int(np.prod(variable.shape)) * MOST_BYTES for variable in variables.values())
    if any(info.file_size != info.compress_size for info in archive.infolist()):
        raise ValueError("compressed, which checkpoints are not")
    return stated > largest + SPARE_BYTES * (len(variables) + 1)


def _named(state: State) -> dict[str, keras.Variable]:
    return {
        f"{part}/{index}": variable for part, variables in state.items() for index, variable in enumerate(variables)
    }
