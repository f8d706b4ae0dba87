"""Many cases in parallel processes, as many at once as there is memory for."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pebble import ProcessExpired, ProcessPool

from data_preprocessing.common.errors import UserError
from data_preprocessing.jobs.worker_process import WorkerContext, start_worker

Result = TypeVar("Result")

BYTES_WORTH_PROCESSES = 64 * 2**20  # of compressed files: about as long as starting two processes
QUEUE_PER_WORKER = 2  # handed over, so that a worker that ends a small case finds the next one there
# Imported once, then every worker starts with it, NumPy and SciPy included: `start_worker` limits what is loaded.
PRELOADED = ["data_preprocessing.shards.pipeline"]


@dataclass(frozen=True)
class Job(Generic[Result]):
    """One piece of work: `function(*arguments)` in a process of its own, expected to take `memory` bytes."""

    name: str
    function: Callable[..., Result]
    arguments: tuple
    memory: int = 0


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """How a job ended: with a result, or with a `failure` in one line. `user_error` says whose fault it was."""

    name: str
    result: Result | None = None
    failure: str | None = None
    user_error: bool = False


def run_jobs(jobs: Sequence[Job[Result]], workers: int, memory: int) -> Iterator[Outcome[Result]]:
    """Yields the outcome of each job as it ends; at most `workers` run at once, within `memory` estimated bytes.

    The largest start first; one that does not fit waits for room, and one larger than all memory runs alone. A job
    whose process dies or that raises an error is an outcome like any other, and the rest goes on.
    """
    context = WorkerContext()
    context.set_forkserver_preload(PRELOADED)
    waiting = sorted(jobs, key=lambda job: -job.memory)
    running: dict[Future, Job[Result]] = {}
    size = max(1, min(workers, len(jobs)))
    with ProcessPool(max_workers=size, context=context, initializer=start_worker) as pool:
        try:
            while waiting or running:
                while (job := _next_that_fits(waiting, list(running.values()), workers, memory)) is not None:
                    waiting.remove(job)
                    running[pool.schedule(job.function, args=job.arguments)] = job
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield _outcome(running.pop(future), future)
        finally:
            pool.stop()


def count_failed(outcomes: Iterable[Outcome]) -> int:
    """Returns how many of the jobs that have ended failed."""
    return sum(outcome.failure is not None for outcome in outcomes)


def worth_processes(files: Iterable[Path]) -> bool:
    """Returns whether reading `files` takes longer than starting processes for it."""
    return sum(file.stat().st_size for file in files if file.is_file()) > BYTES_WORTH_PROCESSES


def _next_that_fits(
    waiting: Sequence[Job[Result]], running: Sequence[Job[Result]], workers: int, memory: int
) -> Job[Result] | None:
    if len(running) >= QUEUE_PER_WORKER * workers:
        return None
    room = memory - sum(job.memory for job in running)
    return next((job for job in waiting if job.memory <= room or not running), None)


def _outcome(job: Job[Result], future: Future) -> Outcome[Result]:
    try:
        return Outcome(job.name, result=future.result())
    except UserError as error:
        return Outcome(job.name, failure=str(error), user_error=True)
    except ProcessExpired as error:
        return Outcome(job.name, failure=f"its process died (exit code {error.exitcode}; -9: killed, out of memory?)")
    except Exception as error:
        # What went wrong in the other process, with its traceback, is the cause.
        detail = getattr(error, "traceback", "")
        return Outcome(job.name, failure=f"{type(error).__name__}: {error}\n{detail}".rstrip())
