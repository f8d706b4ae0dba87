import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.launch import ranks

VARIABLES = ["HOROVOD_RANK", "HOROVOD_SIZE", "HOROVOD_ELASTIC", "HOROVOD_LOCAL_RANK", "HOROVOD_LOCAL_SIZE"]
VARIABLES += ["SLURM_PROCID", "SLURM_STEP_NUM_TASKS", ranks.SLOT_VARIABLE, ranks.SLOTS_VARIABLE, "PMI_RANK", "PMI_SIZE"]


@pytest.fixture
def environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return lambda **values: [monkeypatch.setenv(name, value) for name, value in values.items()]


def test_a_process_of_its_own_is_the_only_worker(environment):
    assert not ranks.started_by_launcher()
    assert (ranks.given_workers(), ranks.local_rank(), ranks.local_size()) == (1, 0, 1)


def test_ranks_given_by_horovods_launcher_are_taken(environment):
    environment(HOROVOD_RANK="9", HOROVOD_SIZE="16", HOROVOD_LOCAL_RANK="1", HOROVOD_LOCAL_SIZE="8")
    assert ranks.started_by_launcher()
    assert (ranks.given_workers(), ranks.local_rank(), ranks.local_size()) == (16, 1, 8)


def test_an_elastic_worker_knows_its_slot_though_its_host_is_one_for_horovod(environment):
    environment(HOROVOD_ELASTIC="1", HOROVOD_SIZE="1", HOROVOD_LOCAL_RANK="0", HOROVOD_LOCAL_SIZE="1")
    environment(**{ranks.SLOT_VARIABLE: "3", ranks.SLOTS_VARIABLE: "4"})
    assert ranks.started_by_launcher()
    assert (ranks.local_rank(), ranks.local_size()) == (3, 4)


def test_ranks_of_another_launcher_are_known_before_horovod_is_told(environment):
    environment(PMI_RANK="3", PMI_SIZE="4")
    assert ranks.started_by_launcher()
    assert (ranks.given_workers(), ranks.rank()) == (4, 3)
    environment(HOROVOD_RANK="3", HOROVOD_SIZE="4")
    assert ranks.other_launcher() is None
    assert (ranks.given_workers(), ranks.rank()) == (4, 3)


def test_a_command_that_several_would_do_alike_is_refused_there(environment):
    ranks.refuse_other_launcher()
    environment(SLURM_PROCID="0", SLURM_STEP_NUM_TASKS="4")
    with pytest.raises(UserError, match=r"srun started this as one of 4 processes.*start it once, with --gpus 4"):
        ranks.refuse_other_launcher()
