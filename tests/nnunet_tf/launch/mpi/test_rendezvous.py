"""Processes that meet as mpirun's would, without mpirun: those of each launcher get its variables by hand."""

import os
import subprocess
import sys

import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.launch.launchers import Given
from nnunet_tf.launch.mpi.rendezvous import Server, _file_name, meet
from tests.commands import ROOT

pytest.importorskip("horovod", reason="Horovod is not installed: make setup")

LAUNCHERS = {
    "Open MPI": "OMPI_COMM_WORLD_RANK OMPI_COMM_WORLD_SIZE OMPI_COMM_WORLD_LOCAL_RANK OMPI_COMM_WORLD_LOCAL_SIZE",
    "Hydra": "PMI_RANK PMI_SIZE MPI_LOCALRANKID MPI_LOCALNRANKS",
    "SLURM": "SLURM_PROCID SLURM_STEP_NUM_TASKS SLURM_LOCALID SLURM_STEP_TASKS_PER_NODE",
    "PMI alone": "PMI_RANK PMI_SIZE",
}
WORKER = """
import os, sys, time
from pathlib import Path
from nnunet_tf.launch.mpi.machine_share import take_share
from nnunet_tf.launch.ranks import other_launcher
from nnunet_tf.commands.start import run

def main():
    rank = other_launcher().rank
    share = take_share(Path(sys.argv[1]), None)
    names = ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE", "CROSS_RANK", "CROSS_SIZE", "GLOO_IFACE", "CONTROLLER")
    print(*[os.environ[f"HOROVOD_{name}"] for name in names], share.gpu, share.core_share, share.core_shares)
    if rank == 0:
        sys.stdin.read()  # others may still be asking

run(main)
"""


def numbered(names, rank, size=2):
    """The environment of one of `size` processes on this machine, by variables of these names."""
    values = [rank, size, rank, size]
    ours = dict(zip(names.split(), map(str, values), strict=False))
    strange = ("OMPI_", "PMI", "MPI_LOCAL", "SLURM_", "HOROVOD_", "NCCL_", "CUDA_VISIBLE")
    return {name: value for name, value in os.environ.items() if not name.startswith(strange)} | ours


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_processes_meet_and_tell_horovod_who_they_are(launcher, tmp_path):
    processes = []
    for rank in (1, 0):
        environment = numbered(LAUNCHERS[launcher], rank) | {
            "PYTHONPATH": str(ROOT),
            "http_proxy": "http://192.0.2.1:1",
        }
        command = [sys.executable, "-c", WORKER, str(tmp_path)]
        pipe = subprocess.PIPE
        processes.append(subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
    said = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert [out for out, _ in said] == ["1 2 1 2 0 1 lo gloo 1 1 2\n", "0 2 0 2 0 1 lo gloo 0 0 2\n"]
    assert list(tmp_path.iterdir()) == []  # the file is gone as soon as all have met


@pytest.fixture
def given():
    return lambda rank, size=2: Given("mpirun", rank, size, rank, size, "job")


def test_worker_0_does_not_wait_without_end_and_leaves_no_file(given, tmp_path):
    with pytest.raises(UserError, match=r"of 4 workers that mpirun started, these did not come .* in 0 s: 1, 2, 3; "):
        meet(given(0, 4), tmp_path, wait_seconds=0.2)
    assert list(tmp_path.iterdir()) == []


def test_another_worker_does_not_wait_without_end_either(given, tmp_path):
    with pytest.raises(UserError, match=r"worker 1 found nothing of worker 0 in .* for 0 s"):
        meet(given(1), tmp_path, wait_seconds=0.2)


def test_what_a_killed_run_left_behind_is_not_believed(given, tmp_path):
    stale = Server(addresses=("127.0.0.1",), port=9, token="of a run that is over")
    (tmp_path / _file_name(given(1))).write_text(stale.model_dump_json())
    with pytest.raises(UserError, match="found nothing of worker 0"):
        meet(given(1), tmp_path, wait_seconds=0.2)


def test_runs_of_different_jobs_do_not_take_each_others_file(given):
    first, second = given(0), Given("mpirun", 0, 2, 0, 2, "another job")
    assert _file_name(first) == _file_name(given(1)) != _file_name(second)


def test_an_interface_that_is_not_there_is_told(given, tmp_path):
    with pytest.raises(UserError, match=r"--network-interface ib7: .* has no such one with IPv4, but .*lo"):
        meet(given(0), tmp_path, "ib7")
