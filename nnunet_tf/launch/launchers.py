"""What launchers other than Horovod's tell the processes they start: Open MPI, MPICH and Intel MPI (Hydra), SLURM."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from data_preprocessing.common.errors import UserError

TASKS = re.compile(r"(\d+)(?:\(x(\d+)\))?")  # of a node, or of some in a row
# By which the runs of a batch system are told apart.
BATCH_VARIABLES = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")


@dataclass(frozen=True)
class Given:
    """This process as its launcher numbers it; None where it does not say. `job` is the same in all processes of a run,
    and in no other run where the launcher has a name for it.
    """

    launcher: str
    rank: int
    size: int
    local_rank: int | None
    local_size: int | None
    job: str


def given_by(environment: Mapping[str, str]) -> Given | None:
    """Returns what the launcher says of this process; None where none started it as one of several, or Horovod's did.

    Raises UserError where it says which process this is, and not of how many.
    """
    if "HOROVOD_RANK" in environment:
        return None
    # The processes that Open MPI and Hydra put on other nodes may stand in a step of SLURM's: theirs count.
    for read in (_open_mpi, _hydra, _slurm, _pmi):
        given = read(environment)
        if given:
            return given if given.size > 1 else None
    if "PMIX_RANK" in environment:
        raise UserError(
            "the launcher says which process this is (PMIX_RANK), and not of how many; start it with mpirun or srun"
        )
    return None


def _open_mpi(environment: Mapping[str, str]) -> Given | None:
    prefix = "OMPI_COMM_WORLD_"
    names = [prefix + name for name in ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE")]
    return _given("mpirun", environment, names, ("PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"))


def _hydra(environment: Mapping[str, str]) -> Given | None:
    if "MPI_LOCALRANKID" not in environment:
        return None
    names = ["PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"]
    return _given("mpirun", environment, names, BATCH_VARIABLES)


def _slurm(environment: Mapping[str, str]) -> Given | None:
    names = ["SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"]
    local_size = _tasks_of_node(environment.get("SLURM_STEP_TASKS_PER_NODE", ""), _number(environment, "SLURM_NODEID"))
    return _given("srun", environment, names, ("SLURM_JOB_ID", "SLURM_STEP_ID"), local_size)


def _pmi(environment: Mapping[str, str]) -> Given | None:
    return _given("mpirun", environment, ["PMI_RANK", "PMI_SIZE"], BATCH_VARIABLES)


def _given(
    launcher: str,
    environment: Mapping[str, str],
    names: list[str],
    job_names: tuple[str, ...],
    local_size: int | None = None,
) -> Given | None:
    """`names` are the variables of rank, size, local rank and local size; the last ones may be left out."""
    numbers = [_number(environment, name) for name in names] + [None] * (4 - len(names))
    rank, size, local_rank = numbers[:3]
    if rank is None or size is None:
        return None
    job = " ".join(environment[name] for name in job_names if name in environment)
    return Given(launcher, rank, size, local_rank, local_size if numbers[3] is None else numbers[3], job)


def _number(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name, "")
    return int(text) if text.isdecimal() else None


def _tasks_of_node(text: str, node: int | None) -> int | None:
    """The entry of a node in a list such as `2(x3),1`."""
    matches = [TASKS.fullmatch(word) for word in text.split(",")]
    tasks = [int(match[1]) for match in matches if match for _ in range(int(match[2] or 1))]
    return tasks[node] if None not in matches and node is not None and node < len(tasks) else None
