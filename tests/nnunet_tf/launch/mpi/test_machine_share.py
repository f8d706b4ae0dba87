import pytest

from nnunet_tf.launch.launchers import Given
from nnunet_tf.launch.mpi import machine_share
from nnunet_tf.launch.mpi.machine_share import MachineShare, take_share
from nnunet_tf.launch.mpi.placement import Place


@pytest.fixture
def second_of_two(monkeypatch):
    """A process of mpirun's that has met the others: the second on its machine, on cores of its own."""
    place = Place(
        machines=1,
        local_rank=1,
        local_size=2,
        cross_rank=0,
        cross_size=1,
        address="127.0.0.1",
        core_share=0,
        core_shares=1,
    )
    monkeypatch.setattr(machine_share, "other_launcher", lambda: Given("mpirun", 1, 2, 1, 2, ""))
    monkeypatch.setattr("nnunet_tf.launch.mpi.rendezvous.meet", lambda given, folder, interface: place)


@pytest.mark.parametrize(("visible", "gpu"), [(None, 1), ("", 1), ("0,1", 1), ("3", 0), ("GPU-7af2", 0)])
def test_a_worker_takes_the_gpu_of_its_number_or_the_only_one_it_is_shown(
    second_of_two, monkeypatch, tmp_path, visible, gpu
):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert take_share(tmp_path, None) == MachineShare(gpu=gpu, core_share=0, core_shares=1)


def test_a_worker_of_horovods_launcher_shares_the_cores_with_all_of_its_machine(monkeypatch, tmp_path):
    for name, value in {"RANK": "5", "SIZE": "8", "LOCAL_RANK": "1", "LOCAL_SIZE": "4"}.items():
        monkeypatch.setenv(f"HOROVOD_{name}", value)
    assert take_share(tmp_path, None) == MachineShare(gpu=1, core_share=1, core_shares=4)
