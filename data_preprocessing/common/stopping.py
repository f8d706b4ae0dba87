"""How a process is asked to end, and how it ends where its parent has gone without asking."""

import ctypes
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import NoReturn

INTERRUPTED_STATUS = 130
TERMINATED_STATUS = 143
PARENT_VARIABLE = "NNUNET_TF_PARENT"  # the process that a child was started by, and is to end with
SET_PARENT_DEATH_SIGNAL = 1  # of Linux's prctl
SECONDS_BETWEEN_LOOKS = 1.0


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

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)


def raise_if_stopped() -> None:
    """Raises KeyboardInterrupt where the user or a scheduler has asked the process to end."""
    if _stopped_by:
        raise _stopped_by[-1]


def exit_stopped(stopped: KeyboardInterrupt, name: str) -> NoReturn:
    """Says in a line that the command `name` was stopped, or what else `stopped` says, and exits with its status."""
    print(str(stopped) or f"{name}: stopped", file=sys.stderr)
    sys.exit(TERMINATED_STATUS if isinstance(stopped, Terminated) else INTERRUPTED_STATUS)


def child_environment() -> dict[str, str]:
    """Returns the environment for a child that calls `end_with_starter`."""
    return os.environ | {PARENT_VARIABLE: str(os.getpid())}


def end_with_starter() -> None:
    """Where this process was started with `child_environment`, makes it end soon after the one that started it."""
    parent = os.environ.pop(PARENT_VARIABLE, "")  # its own children are to end with it, not with that one
    if parent:
        end_with_parent(int(parent) if parent.isdecimal() else None)


def end_with_parent(parent: int | None = None) -> None:
    """Makes this process end, by SIGTERM, soon after its parent has: killed, say, without telling its children.

    `parent`: the process that it was, where it may have ended already.
    """
    parent = parent or os.getppid()
    told_by_system = sys.platform == "linux" and _ask_for_signal()
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
    elif not told_by_system:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _ask_for_signal() -> bool:
    try:
        return ctypes.CDLL(None, use_errno=True).prctl(SET_PARENT_DEATH_SIGNAL, int(signal.SIGTERM), 0, 0, 0) == 0
    except (OSError, AttributeError):
        return False


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    os.kill(os.getpid(), signal.SIGTERM)
