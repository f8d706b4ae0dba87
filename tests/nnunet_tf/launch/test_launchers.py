import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.launch.launchers import Given, given_by

# As `env` shows them in a process of each launcher; the last of its two nodes, the first has two processes.
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "2",
    "OMPI_COMM_WORLD_SIZE": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "0",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "1",
    "PMIX_NAMESPACE": "prterun-a-77@1",
    "PMIX_RANK": "2",
}
HYDRA = {"PMI_RANK": "2", "PMI_SIZE": "3", "MPI_LOCALRANKID": "0", "MPI_LOCALNRANKS": "1", "PMI_FD": "9"}
SLURM = {
    "SLURM_PROCID": "2",
    "SLURM_STEP_NUM_TASKS": "3",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "1",
    "SLURM_STEP_TASKS_PER_NODE": "2,1",
    "SLURM_JOB_ID": "41",
    "SLURM_STEP_ID": "5",
}


@pytest.mark.parametrize(
    ("environment", "launcher", "job"),
    [
        (OPEN_MPI, "mpirun", "prterun-a-77@1"),
        (HYDRA, "mpirun", ""),
        (HYDRA | {"SLURM_JOB_ID": "41"}, "mpirun", "41"),
        (SLURM, "srun", "41 5"),
        (SLURM | {"PMI_RANK": "2", "PMI_SIZE": "3"}, "srun", "41 5"),  # srun --mpi=pmi2
        (SLURM | {"PMIX_RANK": "2"}, "srun", "41 5"),  # srun --mpi=pmix
    ],
)
def test_a_process_is_numbered_as_its_launcher_says(environment, launcher, job):
    assert given_by(environment) == Given(launcher, 2, 3, 0, 1, job)


def test_what_the_launcher_leaves_out_is_left_open():
    assert given_by({"PMI_RANK": "2", "PMI_SIZE": "3"}) == Given("mpirun", 2, 3, None, None, "")
    without = {name: value for name, value in SLURM.items() if name != "SLURM_STEP_TASKS_PER_NODE"}
    assert given_by(without) == Given("srun", 2, 3, 0, None, "41 5")


@pytest.mark.parametrize(
    ("words", "node", "tasks"), [("2(x3),1", 2, 2), ("2(x3),1", 3, 1), ("8", 0, 8), ("2,x", 0, None), ("2", 1, None)]
)
def test_slurm_tells_the_tasks_of_nodes_in_runs(words, node, tasks):
    changed = {"SLURM_STEP_TASKS_PER_NODE": words, "SLURM_NODEID": str(node)}
    assert given_by(SLURM | changed).local_size == tasks


def test_mpirun_counts_where_it_has_started_its_own_processes_through_slurm():
    step_of_daemons = SLURM | {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2"}
    for environment in (OPEN_MPI, HYDRA):
        given = given_by(step_of_daemons | environment)
        assert (given.launcher, given.rank, given.size) == ("mpirun", 2, 3)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        OPEN_MPI | {"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"},
        SLURM | {"SLURM_STEP_NUM_TASKS": "1"},
        {"SLURM_JOB_ID": "41", "SLURM_PROCID": "0", "SLURM_NTASKS": "8"},  # a batch script
        OPEN_MPI | {"HOROVOD_RANK": "0"},
    ],
)
def test_one_process_and_those_of_horovods_launcher_are_not_numbered(environment):
    assert given_by(environment) is None


def test_a_number_without_how_many_there_are_is_refused():
    with pytest.raises(UserError, match=r"PMIX_RANK.*start it with mpirun or srun"):
        given_by({"PMIX_RANK": "0", "PMIX_NAMESPACE": "prterun-a-77@1"})
