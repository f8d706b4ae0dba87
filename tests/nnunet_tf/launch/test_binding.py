import os
import subprocess
import sys

import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.launch.binding import bind, in_order, part


def write_system(folder, nodes, physical):
    """Writes what Linux says of its processors: the cores of each memory node, and the physical core of each."""
    for node, cores in enumerate(nodes):
        (folder / "node" / f"node{node}").mkdir(parents=True)
        (folder / "node" / f"node{node}" / "cpulist").write_text(f"{cores}\n")
    for core, number in enumerate(physical):
        topology = folder / "cpu" / f"cpu{core}" / "topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text("0\n")
        (topology / "core_id").write_text(f"{number}\n")


def test_cores_of_a_node_stay_together_and_threads_of_a_core_too(tmp_path):
    # Two nodes of two cores with two threads each, numbered as Linux does: second threads come last.
    write_system(tmp_path, ["0-1,4-5", "2-3,6-7"], [0, 1, 2, 3, 0, 1, 2, 3])
    assert in_order(range(8), tmp_path) == [0, 4, 1, 5, 2, 6, 3, 7]
    assert in_order({1, 2, 5}, tmp_path) == [1, 5, 2]


def test_cores_stand_by_number_where_the_system_says_nothing(tmp_path):
    assert in_order([3, 1, 2], tmp_path) == [1, 2, 3]


@pytest.mark.parametrize(("cores", "workers"), [(8, 2), (8, 3), (5, 5), (7, 1)])
def test_every_core_goes_to_one_worker_and_no_worker_is_left_out(cores, workers):
    parts = [list(part(range(cores), index, workers)) for index in range(workers)]
    assert [core for each in parts for core in each] == list(range(cores))
    assert min(map(len, parts)) >= cores // workers


@pytest.mark.slow
def test_a_bound_process_runs_on_its_own_cores_only():
    code = "import os; from nnunet_tf.launch.binding import bind; print(bind(0, 1), len(os.sched_getaffinity(0)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(os.sched_getaffinity(0)))] * 2


def test_more_workers_than_cores_cannot_be_bound():
    with pytest.raises(UserError, match="--bind: 5000 workers on"):
        bind(0, 5000)
