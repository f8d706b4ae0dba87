import os
import signal
import time

import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.jobs.process_pool import Job, run_jobs


def answer(value):
    return value


def refuse(message):
    raise UserError(message)


def divide(by):
    return 1 / by


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def work_and_log(path, name, company):
    """Notes in a file when it begins and ends; before that it waits until `company` jobs have begun."""
    note(path, f"begin {name}")
    deadline = time.monotonic() + 60
    while path.read_text().count("begin") < company and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)  # long enough that one that should have waited would be seen beside this one
    note(path, f"end {name}")


def note(path, line):
    with open(path, "a") as log:
        log.write(f"{line}\n")


def together(log):
    """The most jobs that were running at the same time, and the sets of names seen together."""
    running, seen = set(), []
    for line in log.read_text().splitlines():
        event, name = line.split()
        (running.add if event == "begin" else running.discard)(name)
        seen.append(set(running))
    return seen


def test_every_job_gives_its_result():
    outcomes = run_jobs([Job(str(n), answer, (n,)) for n in range(7)], workers=2, memory=1)
    assert sorted((outcome.name, outcome.result) for outcome in outcomes) == [(str(n), n) for n in range(7)]


def test_a_worker_that_dies_is_told_and_the_rest_goes_on():
    jobs = [Job("dead", die, ()), *(Job(str(n), answer, (n,)) for n in range(4))]
    outcomes = {outcome.name: outcome for outcome in run_jobs(jobs, workers=2, memory=1)}
    assert "process died" in outcomes["dead"].failure
    assert not outcomes["dead"].user_error
    assert [outcomes[str(n)].result for n in range(4)] == [0, 1, 2, 3]


def test_a_mistake_of_the_users_and_a_bug_are_told_apart():
    jobs = [Job("mistake", refuse, ("scan.nii: empty; mend it",)), Job("bug", divide, (0,))]
    outcomes = {outcome.name: outcome for outcome in run_jobs(jobs, workers=1, memory=1)}
    assert outcomes["mistake"].user_error
    assert outcomes["mistake"].failure == "scan.nii: empty; mend it"
    assert not outcomes["bug"].user_error
    assert "ZeroDivisionError" in outcomes["bug"].failure
    assert "in divide" in outcomes["bug"].failure  # the traceback


@pytest.mark.parametrize(
    ("memory", "alone"),
    [(10, set()), (5, {"big"}), (1, {"big", "a", "b"})],
    ids=["room for all", "tight", "too little"],
)
def test_a_big_job_waits_until_there_is_room_for_it(tmp_path, memory, alone):
    log = tmp_path / "log"
    sizes = {"a": 2, "b": 2, "big": 5}
    company = 1 if alone else 3
    jobs = [Job(name, work_and_log, (log, name, company), size) for name, size in sizes.items()]
    assert len(list(run_jobs(jobs, workers=3, memory=memory))) == 3
    seen = together(log)
    for names in seen:
        assert len(names) == 1 or sum(sizes[name] for name in names) <= memory
        assert len(names) == 1 or not names & alone
    if not alone:
        assert {"a", "b", "big"} in seen
