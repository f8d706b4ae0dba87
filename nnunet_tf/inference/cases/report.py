"""Measure what a case takes: seconds per stage and the peak of memory."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import psutil

from data_preprocessing.dataset.dataset import Case
from data_preprocessing.images.checks.finding import Finding

SECONDS_BETWEEN_SAMPLES = 0.05


@dataclass
class CaseReport:
    """What one case took. `seconds` are by stage: read, compute, write. `peak_bytes` is this process's memory."""

    findings: list[Finding] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    peak_bytes: int = 0

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Measures the seconds of a stage."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[stage] = time.monotonic() - start


class RunLog(Protocol):
    """Hears of each case as it ends. Threads may call it at once."""

    def done(self, case: Case, report: CaseReport) -> None:
        """Records a case that was written."""

    def failed(self, case: Case, reason: str) -> None:
        """Records a case that failed."""


class NoLog:
    """Records nothing."""

    def done(self, case: Case, report: CaseReport) -> None:
        """Does nothing."""

    def failed(self, case: Case, reason: str) -> None:
        """Does nothing."""


class PeakMemory:
    """Samples the memory of this process in a thread, while used as a context manager."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._ended = threading.Event()
        self._peak = 0
        self._thread = threading.Thread(target=self._sample, name="memory", daemon=True)

    def __enter__(self) -> "PeakMemory":
        """Starts the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the thread."""
        self._ended.set()
        self._thread.join()

    def take(self) -> int:
        """Returns the most bytes since the last call, and begins anew."""
        peak, self._peak = max(self._peak, self._now()), 0
        return peak

    def _sample(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_SAMPLES):
            self._peak = max(self._peak, self._now())

    def _now(self) -> int:
        return int(self._process.memory_info().rss)
