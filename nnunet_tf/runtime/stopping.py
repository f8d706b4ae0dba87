"""How a process is asked to end."""

import signal
from types import FrameType
from typing import NoReturn


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM), as a cluster's scheduler does: handled like Ctrl-C."""


_stopped_by: list[type[KeyboardInterrupt]] = []


def stop_in_order() -> None:
    """Makes SIGTERM raise `Terminated`, so that temporary files are removed and children ended, as Ctrl-C does.

    What is raised inside a destructor is lost: long loops call `raise_if_stopped` as well.
    """

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        _stopped_by.append(Terminated if number == signal.SIGTERM else KeyboardInterrupt)
        raise _stopped_by[-1]

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def raise_if_stopped() -> None:
    """Raises KeyboardInterrupt where the user or a scheduler has asked the process to end."""
    if _stopped_by:
        raise _stopped_by[-1]
