"""A Dask scheduler and workers on loopback, started as a user starts them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.commands import ROOT

MEMORY = 8 * 2**30  # of each worker, as the resource that jobs are given by


@contextmanager
def dask_cluster(folder: Path, workers: int = 2) -> Iterator[str]:
    """Yields the address of a scheduler whose workers, of one thread each, start in `folder`."""
    environment = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    file = folder / "scheduler.json"
    words = {
        "scheduler": ["--host", "127.0.0.1", "--port", "0"],
        "worker": ["--nworkers", workers, "--nthreads", "1", "--resources", f"memory={MEMORY}"],
    }
    started = []
    try:
        for role, own in words.items():
            command = [sys.executable, "-m", "dask", role, "--scheduler-file", file, "--no-dashboard", *own]
            with open(folder / f"{role}.log", "w") as log:
                started.append(
                    subprocess.Popen(list(map(str, command)), cwd=folder, env=environment, stdout=log, stderr=log)
                )
            # Of this project's code the scheduler has none, the workers have.
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        yield _address(file, started)
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(timeout=60)


def _address(file: Path, started: list[subprocess.Popen]) -> str:
    end = time.monotonic() + 120
    while not file.exists() or not file.read_text().endswith("}"):
        assert all(process.poll() is None for process in started), (file.parent / "scheduler.log").read_text()
        assert time.monotonic() < end
        time.sleep(0.05)
    return json.loads(file.read_text())["address"].removeprefix("tcp://")
