"""Which of several processes this is, as the launcher that started it says."""

import os

from data_preprocessing.errors import UserError

# Set by `nnunet_tf.launch.elastic_driver`, whose slots are hosts of their own for Horovod.
SLOT_VARIABLE = "NNUNET_TF_SLOT"
SLOTS_VARIABLE = "NNUNET_TF_SLOTS"
# Launchers whose ranks Horovod takes only when it is built with MPI, by the variable that counts their processes.
MPI_LAUNCHERS = {"OMPI_COMM_WORLD_SIZE": "mpirun", "PMI_SIZE": "mpirun", "SLURM_STEP_NUM_TASKS": "srun"}


def started_by_launcher() -> bool:
    """Returns whether this process is one of several, or of a changing number, that Horovod started."""
    return os.environ.get("HOROVOD_ELASTIC") == "1" or given_workers() > 1


def given_workers() -> int:
    """Returns how many processes Horovod's launcher started; 1 without it."""
    return int(os.environ.get("HOROVOD_SIZE", "1"))


def local_rank() -> int:
    """Returns the number of this process on its machine: that of its GPU."""
    return int(os.environ.get(SLOT_VARIABLE) or os.environ.get("HOROVOD_LOCAL_RANK", "0"))


def local_size() -> int:
    """Returns how many processes share this machine."""
    return int(os.environ.get(SLOTS_VARIABLE) or os.environ.get("HOROVOD_LOCAL_SIZE", "1"))


def check_launcher() -> None:
    """Raises UserError in a process that another launcher than Horovod's started as one of several.

    Left alone, each of them would train the same model into the same folder.
    """
    if "HOROVOD_RANK" in os.environ:
        return
    for variable, launcher in MPI_LAUNCHERS.items():
        count = os.environ.get(variable, "1")
        if count.isdecimal() and int(count) > 1:
            raise UserError(
                f"{launcher} started this as one of {count} processes, whose ranks Horovod takes only when built with "
                f"MPI, which it is not here; start it once, with --gpus {count}, and --hosts for several machines"
            )
