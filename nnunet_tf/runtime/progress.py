"""Progress of something long: a bar on a terminal, a line now and then in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

SECONDS_BETWEEN_LINES = 15.0
SHORTEST_BAR, LONGEST_BAR = 4, 40  # columns
COLUMNS_BESIDE = 76  # for title, counts and loss, before the bar gets longer

Listener = Callable[[str, float, float | None], None]  # of the title, how much is done, and of how much
_listener: ContextVar[Listener | None] = ContextVar("_listener", default=None)


class _CountColumn(ProgressColumn):
    """How many steps are done, and how many of those gone through have failed."""

    def render(self, task: Task) -> Text:
        return Text(_count(task.completed, task.total, task.fields["failed"]), style="progress.download")


class _RateColumn(ProgressColumn):
    """Steps a second, in the unit of the task."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} {task.fields['unit']}/s" if speed else "", style="progress.data.speed")


class Tracker:
    """Told of each step by the one who does the work."""

    def __init__(
        self, title: str, total: int | None, unit: str, bar: Progress | None, listener: Listener | None = None
    ) -> None:
        self.title, self.total, self.unit, self.bar, self.listener = title, total, unit, bar, listener
        self.start = self.last_line = time.monotonic()
        self.task = bar.add_task(title, total=total, unit=unit, failed=0, note="") if bar else None

    def update(self, done: float, total: int | None = None, failed: int = 0, note: str = "") -> None:
        """Says that `done` of the total have ended; `note` stands beside the bar, such as a loss.

        A part of a step that is under way makes the time left exact; whole steps are shown. The `failed` ones among
        them are not shown as done, but counted beside it.
        """
        self.total = total or self.total
        if self.listener:
            self.listener(self.title, done, self.total)
            return
        if self.bar and self.task is not None:
            self.bar.update(self.task, completed=done, total=self.total, failed=failed, note=note)
            return
        now = time.monotonic()
        total_now = self.total or done
        if done and (now - self.last_line >= SECONDS_BETWEEN_LINES or done == total_now):
            self.last_line = now
            rate = done / max(now - self.start, 1e-9)
            left = _clock((total_now - done) / rate)
            count = _count(done, total_now, failed)
            line = f"{self.title} {count}  {rate:.1f} {self.unit}/s  {left} left  {note}".rstrip()
            print(line, file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        """Prints a line on standard error, above the bar."""
        if self.bar:
            self.bar.console.print(line, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)


@contextmanager
def reporting_to(listener: Listener) -> Iterator[None]:
    """Has all progress within told to `listener` rather than shown."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def track(title: str, total: int | None, unit: str, show: bool = True) -> Iterator[Tracker]:
    """Yields a Tracker that reports on standard error; with `show` false it says nothing.

    `total` may be None where the first `update` tells it.
    """
    listener = _listener.get()
    if listener:
        yield Tracker(title, total, unit, None, listener if show else lambda title, done, total: None)
        return
    console = Console(stderr=True, quiet=not show, markup=False, emoji=False, highlight=False)
    if not console.is_terminal and show:
        yield Tracker(title, total, unit, None)
        return
    whole = Column(no_wrap=True)
    columns = (
        TextColumn("{task.description}", markup=False, table_column=whole),  # names are no markup
        BarColumn(max(SHORTEST_BAR, min(LONGEST_BAR, console.width - COLUMNS_BESIDE))),
        _CountColumn(table_column=whole),
        _RateColumn(table_column=whole),
        TimeRemainingColumn(table_column=whole),
        TextColumn("{task.fields[note]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
    )
    with Progress(*columns, console=console) as bar:
        yield Tracker(title, total, unit, bar)


def _count(ended: float, total: float | None, failed: int) -> str:
    of = "?" if total is None else int(total)
    return f"{int(ended) - failed}/{of}" + (f", {failed} failed" if failed else "")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
