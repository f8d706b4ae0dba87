"""Work on many cases, of which some may fail."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.jobs.backend import Backend
from data_preprocessing.jobs.blas import one_thread
from data_preprocessing.jobs.process_pool import Job, Outcome, Result, count_failed
from nnunet_tf.evaluation.summaries.summary import Failure


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


def failures_of(outcomes: Iterable[Outcome]) -> dict[str, Failure]:
    """Returns why jobs failed, by name, of those that did."""
    return {
        outcome.name: Failure(reason=outcome.failure, user_error=outcome.user_error)
        for outcome in outcomes
        if outcome.failure is not None
    }


def results_and_failures(outcomes: Sequence[Outcome[Result]]) -> tuple[dict[str, Result], dict[str, Failure]]:
    """Returns what jobs came to and why others failed, by name.

    Raises UserError, or RuntimeError where the user cannot mend it, when all failed.
    """
    results = {outcome.name: outcome.result for outcome in outcomes if outcome.result is not None}
    failures = failures_of(outcomes)
    if not results:
        reasons = [failure.reason for failure in failures.values()]
        all_of_users = all(failure.user_error for failure in failures.values())
        raise UserError(" | ".join(reasons)) if all_of_users else RuntimeError("\n".join(reasons))
    return results, failures


def _here(jobs: Sequence[Job[Result]]) -> Iterator[Outcome[Result]]:
    """In this very process: starting others would take longer than the work."""
    for job in jobs:
        try:
            with one_thread():
                result = job.function(*job.arguments)
            yield Outcome(job.name, result=result)
        except UserError as error:
            yield Outcome(job.name, failure=str(error), user_error=True)
