"""Work on many cases, of which some may fail."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from data_preprocessing.backend import Backend
from data_preprocessing.errors import UserError
from data_preprocessing.scheduler import Job, Outcome, Result, count_failed


def run_cases(
    jobs: Sequence[Job[Result]],
    files: Iterable[Path],
    backend: Backend,
    on_case: Callable[[int, int, int], None],
) -> list[Outcome[Result]]:
    """Returns how each job ended, by name; a case that fails does not keep the others from being worked on.

    `files` are those that the jobs read: where they are large, `backend` does the jobs. `on_case(done, total,
    failed)` is called after each.
    """
    outcomes: list[Outcome[Result]] = []
    for outcome in backend.run(jobs) if backend.worth(files) else _here(jobs):
        outcomes.append(outcome)
        on_case(len(outcomes), len(jobs), count_failed(outcomes))
    return sorted(outcomes, key=lambda outcome: outcome.name)


def _here(jobs: Sequence[Job[Result]]) -> Iterator[Outcome[Result]]:
    """In this very process: starting others would take longer than the work."""
    for job in jobs:
        try:
            yield Outcome(job.name, result=job.function(*job.arguments))
        except UserError as error:
            yield Outcome(job.name, failure=str(error), user_error=True)
