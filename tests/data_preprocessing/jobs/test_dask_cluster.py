import os
import signal
import socket
import sys

import nibabel
import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import write_array
from data_preprocessing.dataset.dataset import load_dataset
from data_preprocessing.dataset.verify import check_dataset
from data_preprocessing.jobs import dask_cluster
from data_preprocessing.jobs.backend import Processes
from data_preprocessing.jobs.dask_cluster import DaskCluster
from data_preprocessing.jobs.process_pool import Job
from data_preprocessing.planning.fingerprint import collect
from data_preprocessing.planning.plan import make_plan
from data_preprocessing.shards import pipeline
from data_preprocessing.shards.format import image_path
from data_preprocessing.shards.pipeline import preprocess, preprocess_case
from nnunet_tf.evaluation.scoring.folder import evaluate
from tests.clusters import MEMORY
from tests.data_preprocessing.jobs.test_process_pool import answer, die, divide, refuse


@pytest.fixture(scope="module")
def cluster(cluster_address):
    said = []
    cluster = DaskCluster(cluster_address, said.append)
    assert [line for line in said if "has no workers" not in line] == []
    yield cluster
    cluster.close()


def test_every_job_has_its_outcome_whatever_becomes_of_the_others(cluster):
    jobs = [
        Job("deadly", die, ()),
        Job("mistake", refuse, ("scan.nii: empty; mend it",)),
        Job("bug", divide, (0,)),
        *(Job(str(n), answer, (n,), memory=n * MEMORY) for n in range(4)),
    ]
    outcomes = {outcome.name: outcome for outcome in cluster.run(jobs)}
    assert len(outcomes) == len(jobs)
    assert "2 workers died of it" in outcomes["deadly"].failure
    assert not outcomes["deadly"].user_error
    assert outcomes["mistake"].failure == "scan.nii: empty; mend it"
    assert outcomes["mistake"].user_error
    assert "ZeroDivisionError" in outcomes["bug"].failure
    assert "in divide" in outcomes["bug"].failure  # the traceback
    assert [outcomes[str(n)].result for n in range(4)] == [0, 1, 2, 3]


def preprocess_and_be_killed_once(case, dataset, plan, folder, *arguments):
    """Stands in for `preprocess_case` on a worker that is killed when half of a shard is written, the first time."""
    killed = folder / "killed"
    if case.name.endswith("3") and not killed.exists():
        killed.touch()
        write_array(image_path(folder, case.name), np.zeros(5))
        os.kill(os.getpid(), signal.SIGKILL)
    return preprocess_case(case, dataset, plan, folder, *arguments)


def test_shards_are_those_of_this_machine_though_a_worker_is_killed_in_mid_case(
    cluster, small_config, small_data, small_shards, tmp_path, monkeypatch
):
    monkeypatch.setattr(pipeline, "preprocess_case", preprocess_and_be_killed_once)
    dataset = load_dataset(small_data, small_config.dataset)
    plan = make_plan(small_config, dataset, 3)
    done = []
    summary = preprocess(small_config, dataset, plan, tmp_path, cluster, on_case=lambda *case: done.append(case))
    assert (tmp_path / "killed").exists()
    assert summary.failures == []
    assert done == [(number, 6, 0) for number in range(1, 7)]
    expected = contents(small_shards / plan.name)
    assert "manifest.json" in expected
    assert contents(tmp_path) == expected


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".npy", ".json")}


def test_checks_fingerprint_and_scores_are_those_of_this_machine(cluster, small_config, small_data):
    name = small_config.dataset
    assert check_dataset(name, 3, small_data, cluster) == check_dataset(name, 3, small_data, Processes())
    dataset = load_dataset(small_data, name)
    assert collect(dataset, cluster) == collect(dataset)
    labels = small_data / name / "labelsTr"
    assert evaluate(labels, labels, cluster) == evaluate(labels, labels)


def test_the_memory_of_a_worker_is_known(cluster):
    assert cluster.room() == MEMORY


def test_other_versions_on_the_cluster_are_told(cluster_address, monkeypatch):
    monkeypatch.setattr("distributed.versions._version_cached", lambda package: "0.1")
    said = []
    DaskCluster(cluster_address, said.append).close()
    scheduler, *workers = said
    assert scheduler.startswith("warning: the scheduler has distributed ")
    assert workers
    for line in workers:
        assert line.startswith("warning: worker tcp://127.0.0.1:")
        assert f"nibabel {nibabel.__version__}, not 0.1" in line


def test_a_scheduler_that_is_not_there_is_told_in_a_line(monkeypatch):
    monkeypatch.setattr(dask_cluster, "CONNECT_SECONDS", 0.5)
    told = r"--scheduler 127.0.0.1:{}: no Dask scheduler answers \(.+\); start one"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(UserError, match=told.format(port)):
            DaskCluster(f"127.0.0.1:{port}", print)
    with pytest.raises(UserError, match=told.format(port)):
        DaskCluster(f"127.0.0.1:{port}", print)
    with pytest.raises(UserError, match="missing port"):
        DaskCluster("127.0.0.1", print)


def test_what_to_install_is_told_where_dask_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match="pip install distributed"):
        DaskCluster("127.0.0.1:8786", print)
