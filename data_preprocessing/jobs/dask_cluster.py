"""Jobs on the machines of a Dask cluster. Import this module freely: Dask is imported when one is connected to."""

import asyncio
import logging
import pickle
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from data_preprocessing.common.errors import UserError
from data_preprocessing.jobs.blas import use_one_thread
from data_preprocessing.jobs.process_pool import Job, Outcome, Result

if TYPE_CHECKING:
    from distributed import Client, Future, Worker

CONNECT_SECONDS = 10
LOOK_AGAIN_SECONDS = 2  # for workers that have come or gone
RESOURCE = "memory"  # of `dask worker --resources memory=24e9`
UNLIMITED = 2**62
SAME_EVERYWHERE = ("python", "distributed")
SAME_ON_WORKERS = (*SAME_EVERYWHERE, "numpy", "scipy", "nibabel")  # what results are computed with


class DaskCluster:
    """The workers of the scheduler at `address` ("host:port"), as a `Backend`; waits until there is one.

    As many jobs are handed over as the workers have threads, the largest first. One whose worker is lost is done again
    by another; one that loses several workers (Dask's `allowed-failures`) has failed. Where all workers were started
    with `--resources memory=BYTES`, a worker does at once what fits by the jobs' estimates, and one larger than any
    alone. Files must have the same paths on all machines. `say` is told, a line each, what the user should know.

    Raises UserError where Dask is missing, no scheduler answers, or workers lack this project's code.
    """

    def __init__(self, address: str, say: Callable[[str], None]) -> None:
        self.address, self.say, self.deserted = address, say, False
        self.client = _connect(address)
        try:
            with self._connected():
                while not self._threads():
                    time.sleep(LOOK_AGAIN_SECONDS)
                self.resource, self.limit = _memory(self.client, address)
                for line in _mismatches(self.client):
                    say(line)
        except BaseException:
            self.close()
            raise

    def room(self) -> int:
        """Returns the memory of the largest worker, in bytes."""
        return self.resource or self.limit

    def worth(self, files: Iterable[Path]) -> bool:
        """Returns True: who names a cluster wants it used."""
        return True

    def run(self, jobs: Sequence[Job[Result]]) -> Iterator[Outcome[Result]]:
        """Yields the outcome of each job as it ends; raises UserError when the scheduler is lost."""
        waiting = deque(sorted(jobs, key=lambda job: -job.memory))
        running: dict[Future, Job[Result]] = {}
        ended: SimpleQueue[Future] = SimpleQueue()
        threads, look_again = 0, 0.0
        try:
            while waiting or running:
                with self._connected():
                    if time.monotonic() >= look_again:
                        threads, look_again = self._threads(), time.monotonic() + LOOK_AGAIN_SECONDS
                    # No more than there are threads: Dask blames a worker's death on all that was queued there too.
                    while waiting and len(running) < threads:
                        job = waiting.popleft()
                        future = self._submit(job)
                        running[future] = job
                        future.add_done_callback(ended.put)
                    outcomes = [_outcome(running.pop(future), future) for future in _some(ended)]
                yield from outcomes
        finally:
            with suppress(Exception):  # of a scheduler that is gone
                self.client.cancel(list(running))

    def close(self) -> None:
        """Leaves the cluster, which goes on."""
        self.client.close(timeout=CONNECT_SECONDS)

    def _threads(self) -> int:
        threads = sum(self.client.nthreads().values())
        if not threads and not self.deserted:
            self.say(f"{self.address} has no workers: waiting; start some with: dask worker {self.address}")
        self.deserted = not threads
        return threads

    def _submit(self, job: Job[Result]) -> "Future":
        # A local function travels by value, so that the scheduler, which opens it, needs none of this project's code.
        def call(work: bytes) -> object:
            function, arguments = pickle.loads(work)
            return function(*arguments)

        work = pickle.dumps((do, (job.name, job.function, job.arguments)))
        resources = {RESOURCE: min(job.memory, self.resource)} if self.resource else None
        # Its own key: a job that is done a second time is not answered with what the first time gave.
        return self.client.submit(call, work, key=f"{job.name}-{uuid4().hex}", resources=resources)

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Within it a lost connection becomes a UserError."""
        from distributed import CancelledError

        try:
            yield
        except (OSError, CancelledError):
            raise UserError(
                f"--scheduler {self.address}: the connection is lost; what is finished is kept, so start the scheduler "
                "again and run this once more"
            ) from None


def do(name: str, function: Callable[..., Result], arguments: tuple) -> Outcome[Result]:
    """Returns the outcome of one job; runs on a worker."""
    use_one_thread()
    try:
        return Outcome(name, result=function(*arguments))
    except UserError as error:
        return Outcome(name, failure=str(error), user_error=True)
    except Exception as error:
        return Outcome(name, failure=f"{type(error).__name__}: {error}\n{traceback.format_exc()}".rstrip())


def describe(dask_worker: "Worker") -> tuple[int, int]:
    """Returns what a worker has of the resource "memory", and the limit of its memory, in bytes; 0 where it has none.

    Runs on the worker, so that one without this project's code is found out.
    """
    return int(dask_worker.state.total_resources.get(RESOURCE, 0)), dask_worker.memory_manager.memory_limit or 0


def _connect(address: str) -> "Client":
    try:
        from distributed import Client
    except ImportError:
        raise UserError("--backend dask: Dask is not installed here; pip install distributed") from None
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":  # what it logs of lost connections is said here in one line
            logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        asyncio.run(asyncio.wait_for(_knock(address), CONNECT_SECONDS + 1))
        with warnings.catch_warnings(action="ignore"):  # of other versions, which `_mismatches` tells
            return Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except Exception as error:  # anything may be listening there
        reason = " ".join(str(error).split()) or f"none in {CONNECT_SECONDS} s"
        raise UserError(
            f"--scheduler {address}: no Dask scheduler answers ({reason}); start one with: dask scheduler"
        ) from None


async def _knock(address: str) -> None:
    """A client would wait without end for the answer of what is no Dask scheduler."""
    from distributed.comm import connect

    comm = await connect(address, timeout=CONNECT_SECONDS)
    await comm.close()


def _memory(client: "Client", address: str) -> tuple[int, int]:
    """The largest amount of the resource "memory", 0 where a worker has none, and the largest limit of memory."""
    found: dict[str, Any] = client.run(describe, on_error="return")
    for worker, answer in found.items():
        if isinstance(answer, Exception):
            raise UserError(
                f"--scheduler {address}: worker {worker} does not find this program ({answer}); start workers with "
                f"PYTHONPATH={Path(__file__).resolve().parents[2]}, in the same environment as this"
            )
    resources, limits = zip(*found.values(), strict=True)
    return max(resources) if all(resources) else 0, max(limits) if all(limits) else UNLIMITED


def _mismatches(client: "Client") -> list[str]:
    """What scheduler and workers have other versions of than this process, a line each."""
    found = client.get_versions(packages=["scipy", "nibabel"])
    here = found["client"]["packages"]
    nodes: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
        ("the scheduler", found["scheduler"], SAME_EVERYWHERE),
        *((f"worker {address}", each, SAME_ON_WORKERS) for address, each in found["workers"].items()),
    ]
    lines = []
    for where, node, names in nodes:
        there = node["packages"]
        other = [f"{name} {there[name]}, not {here[name]}" for name in names if there[name] != here[name]]
        if other:
            lines.append(f"warning: {where} has {'; '.join(other)}: results may differ or fail; install the same")
    return lines


def _some(ended: "SimpleQueue[Future]") -> "Iterator[Future]":
    """What has ended, at least one unless that takes longer than until the next look at the workers."""
    with suppress(Empty):
        yield ended.get(timeout=LOOK_AGAIN_SECONDS)
        while True:
            yield ended.get_nowait()


def _outcome(job: Job[Result], future: "Future") -> Outcome[Result]:
    from distributed import KilledWorker

    error = future.exception()
    if isinstance(error, KilledWorker):
        deaths = error.allowed_failures + 1
        workers = f"{deaths} workers" if deaths > 1 else "a worker"
        where = f"the last at {error.last_worker.address}"
        return Outcome(job.name, failure=f"{workers} died of it, {where} (killed, out of memory?)")
    if error is not None:
        return Outcome(job.name, failure=f"{type(error).__name__}: {error}")
    return future.result()
