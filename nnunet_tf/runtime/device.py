"""TensorFlow made ready: quiet, on the device asked for, in the precision asked for.

Import this module freely; TensorFlow itself is imported only by `start_tensorflow`, and by what is imported after it.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from data_preprocessing.common.errors import UserError
from nnunet_tf.runtime import onednn
from nnunet_tf.runtime.imports import without_modules
from nnunet_tf.runtime.precision import Precision, choose_precision
from nnunet_tf.runtime.processor import read_processor

Device = Literal["auto", "cpu", "gpu"]

IMPORTED_WITHOUT_ONEDNN = (
    "TensorFlow was imported before nnunet_tf and without oneDNN: convolutions take three times as long here; "
    f"import nnunet_tf first, or set {onednn.SWITCH}=1"
)


@dataclass(frozen=True)
class Runtime:
    """What a process computes on. `notices` are lines that the user should see, as what was asked for is not so."""

    gpu: bool
    precision: Precision
    notices: tuple[str, ...] = ()


def start_tensorflow(
    device: Device,
    amp: bool,
    local_rank: int = 0,
    threads: int | None = None,
    xla: bool = False,
    earlier: Precision | None = None,
) -> Runtime:
    """Imports TensorFlow, chooses the device and sets Keras' precision policy for this process.

    `auto` takes a GPU if there is one; `local_rank` says which. `amp` asks for mixed precision, and `earlier` is that
    of a run to resume, as `choose_precision` tells. `threads` limits the processor threads. `xla` says that steps will
    be compiled. Raises UserError when there is no such GPU, or none for `xla`.
    """
    tf = _import_tensorflow()
    present = _list_gpus(tf)
    gpus = [] if device == "cpu" else present
    if (device == "gpu" or gpus) and local_rank >= len(gpus):
        raise UserError(
            f"--device {device}: TensorFlow sees {len(gpus)} GPUs here; use --device cpu, or see README for set-up"
        )
    chosen = gpus[local_rank : local_rank + 1]
    if xla and not chosen:
        raise UserError("--xla: makes convolutions several times slower on a processor; leave it out, or use a GPU")
    if present:
        tf.config.set_visible_devices(chosen, "GPU")
    for gpu in chosen:
        tf.config.experimental.set_memory_growth(gpu, True)
    if threads:
        with suppress(RuntimeError):  # TensorFlow computes already, with as many threads as it had at its start
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
    enabled = onednn.is_enabled()
    choice = choose_precision(amp, bool(chosen), read_processor().flags, enabled, earlier)
    import keras

    keras.mixed_precision.set_dtype_policy(choice.precision)
    with _quiet_stderr():
        tf.zeros(())  # the first operation makes the devices, with more chatter
    late = () if chosen or enabled or onednn.is_turned_off() else (IMPORTED_WITHOUT_ONEDNN,)
    return Runtime(gpu=bool(chosen), precision=choice.precision, notices=(*filter(None, [choice.notice]), *late))


def show_notices(runtime: Runtime, rank: int = 0) -> None:
    """Prints the notices on standard error, once for all workers."""
    if rank == 0:
        for notice in runtime.notices:
            print(notice, file=sys.stderr, flush=True)


def count_gpus() -> int:
    """Returns how many GPUs TensorFlow sees on this machine."""
    return len(_list_gpus(_import_tensorflow()))


def _import_tensorflow():  # type: ignore[no-untyped-def]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Keras, which TensorFlow imports, imports these where they are: a third of its time, for what is not used here.
    with _quiet_stderr(), without_modules("matplotlib", "sklearn", "IPython"):
        import tensorflow as tf
    return tf


def _list_gpus(tf) -> list:  # type: ignore[no-untyped-def]
    with _quiet_stderr():  # a machine without a driver is told by how many there are
        return tf.config.list_physical_devices("GPU")


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keeps what native libraries write to standard error off the terminal; shown after all if the block fails."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        terminal = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(terminal, kept.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
