"""Work on many cases, of which some may fail."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from data_preprocessing.errors import UserError
from data_preprocessing.memory import free_memory
from data_preprocessing.scheduler import Job, Outcome, Result, run_jobs, worth_processes


def run_cases(
    jobs: Sequence[Job[Result]],
    files: Iterable[Path],
    workers: int,
    memory: int | None,
    on_case: Callable[[int, int], None],
) -> list[Outcome[Result]]:
    """Returns how each job ended, by name; a case that fails does not keep the others from being worked on.

    `files` are those that the jobs read: where they are large, the jobs run in up to `workers` processes, within
    `memory` bytes (None: most of what is free). `on_case(done, total)` is called after each.
    """
    apart = worth_processes(files)
    outcomes: list[Outcome[Result]] = []
    for outcome in run_jobs(jobs, workers, memory or free_memory()) if apart else _here(jobs):
        outcomes.append(outcome)
        on_case(len(outcomes), len(jobs))
    return sorted(outcomes, key=lambda outcome: outcome.name)


def _here(jobs: Sequence[Job[Result]]) -> Iterator[Outcome[Result]]:
    """In this very process: starting others would take longer than the work."""
    for job in jobs:
        try:
            yield Outcome(job.name, result=job.function(*job.arguments))
        except UserError as error:
            yield Outcome(job.name, failure=str(error), user_error=True)
