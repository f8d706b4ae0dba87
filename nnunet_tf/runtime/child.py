"""Processes that this one starts and waits for."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from nnunet_tf.runtime.stopping import Terminated

SECONDS_TO_END = 1.0  # for a child that Ctrl-C has reached as it has this process; a signal to this one alone has not


@contextmanager
def stopped_alike(
    child: "subprocess.Popen[str] | subprocess.Popen[bytes]", seconds_to_end: float = SECONDS_TO_END
) -> Iterator[None]:
    """Where this process is stopped within it, lets `child` end in order before the stop is passed on."""
    try:
        yield
    except KeyboardInterrupt as stopped:
        try:
            # Reads on what the child says: with its pipe full it could not end.
            child.communicate(timeout=0 if isinstance(stopped, Terminated) else seconds_to_end)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            child.terminate()
            child.communicate()
        raise stopped from None
