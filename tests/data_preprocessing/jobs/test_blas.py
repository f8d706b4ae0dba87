import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from data_preprocessing.jobs.backend import Processes, run_small_jobs
from data_preprocessing.jobs.dask_cluster import do
from data_preprocessing.jobs.process_pool import Job, run_jobs
from nnunet_tf.evaluation.scoring.jobs import run_cases


def blas_threads():
    """Threads of each library of linear algebra that is loaded here."""
    np.ones((2, 2)) @ np.ones((2, 2))
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def in_processes(jobs):
    return list(run_jobs(jobs, workers=2, memory=1))


def here(jobs):
    return list(run_small_jobs(jobs, [], Processes()))


def scored_here(jobs):
    return run_cases(jobs, [], Processes(), lambda *_: None)


@pytest.mark.parametrize("run", [in_processes, here, scored_here])
def test_every_worker_computes_with_one_thread_and_this_process_as_before(run):
    with threadpool_limits(limits=2, user_api="blas"):
        outcomes = run([Job(str(number), blas_threads, ()) for number in range(3)])
        assert set(blas_threads()) == {2}
    found = [outcome.result for outcome in outcomes]
    assert all(found)
    assert {threads for each in found for threads in each} == {1}


def test_a_worker_of_a_cluster_computes_with_one_thread():
    with threadpool_limits(limits=2, user_api="blas"):
        assert set(do("case", blas_threads, ()).result) == {1}
