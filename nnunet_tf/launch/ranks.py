"""Which of several processes this is, as the launcher that started it says."""

import os

from data_preprocessing.common.errors import UserError
from nnunet_tf.launch.launchers import Given, given_by

# Set by `nnunet_tf.launch.horovod.elastic_driver`, whose slots are hosts of their own for Horovod.
SLOT_VARIABLE = "NNUNET_TF_SLOT"
SLOTS_VARIABLE = "NNUNET_TF_SLOTS"


def started_by_launcher() -> bool:
    """Returns whether this process is one of several, or of a changing number, that a launcher started."""
    return joins_elastic_run() or given_workers() > 1


def joins_elastic_run() -> bool:
    """Returns whether this process is a worker of an elastic run, which may have begun before it."""
    return os.environ.get("HOROVOD_ELASTIC") == "1"


def other_launcher() -> Given | None:
    """Returns what a launcher other than Horovod's says of this process; None where there is none.

    That is until `nnunet_tf.launch.mpi.rendezvous` has told Horovod.
    """
    return given_by(os.environ)


def given_workers() -> int:
    """Returns how many processes the launcher started; 1 without one."""
    other = other_launcher()
    return other.size if other else int(os.environ.get("HOROVOD_SIZE", "1"))


def rank() -> int:
    """Returns the number of this process among all."""
    other = other_launcher()
    return other.rank if other else int(os.environ.get("HOROVOD_RANK", "0"))


def local_rank() -> int:
    """Returns the number of this process on its machine: that of its GPU."""
    return int(os.environ.get(SLOT_VARIABLE) or os.environ.get("HOROVOD_LOCAL_RANK", "0"))


def local_size() -> int:
    """Returns how many processes share this machine."""
    return int(os.environ.get(SLOTS_VARIABLE) or os.environ.get("HOROVOD_LOCAL_SIZE", "1"))


def refuse_other_launcher() -> None:
    """Raises UserError in a process that another launcher than Horovod's started as one of several.

    For commands that would each do the whole work alone.
    """
    other = other_launcher()
    if other:
        raise UserError(
            f"{other.launcher} started this as one of {other.size} processes, each of which would do the same; start "
            f"it once, with --gpus {other.size}"
        )
