"""Where the jobs of a stage are done: in processes of this machine, or on a cluster."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from data_preprocessing.jobs.blas import one_thread
from data_preprocessing.jobs.free_memory import free_memory
from data_preprocessing.jobs.process_pool import Job, Outcome, Result, run_jobs, worth_processes


class Backend(Protocol):
    """Does jobs that know nothing of where they are done. `DaskCluster` is one, `Processes` another."""

    def room(self) -> int:
        """Returns the bytes of memory that one job may take."""

    def worth(self, files: Iterable[Path]) -> bool:
        """Returns whether jobs that read `files` are to be handed over, rather than done in this very process."""

    def run(self, jobs: Sequence[Job[Result]]) -> Iterator[Outcome[Result]]:
        """Yields the outcome of each job as it ends.

        A job that raises an error or whose process dies is an outcome like any other, and the rest goes on.
        """


@dataclass(frozen=True)
class Processes:
    """Up to `workers` processes of this machine within `memory` bytes for all of them (None: most of what is free)."""

    workers: int = 1
    memory: int | None = None

    def room(self) -> int:
        """Returns all memory: a job that needs it runs alone."""
        return self.memory or free_memory()

    def worth(self, files: Iterable[Path]) -> bool:
        """Returns whether reading `files` takes longer than starting processes for it."""
        return worth_processes(files)

    def run(self, jobs: Sequence[Job[Result]]) -> Iterator[Outcome[Result]]:
        """Yields outcomes as `run_jobs` does."""
        return run_jobs(jobs, self.workers, self.room())


def run_small_jobs(jobs: Sequence[Job[Result]], files: Iterable[Path], backend: Backend) -> Iterator[Outcome[Result]]:
    """Yields outcomes as `backend` does where reading `files` is worth it, else of the jobs done here, one by one.

    Starting a process takes longer than many a small job. Here a job that raises an error raises it to the caller.
    """
    if backend.worth(files):
        yield from backend.run(jobs)
    else:
        for job in jobs:
            with one_thread():
                result = job.function(*job.arguments)
            yield Outcome(job.name, result=result)
