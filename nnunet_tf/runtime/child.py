"""Processes that this one starts and waits for."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from nnunet_tf.runtime.command_line import Terminated


@contextmanager
def stopped_alike(child: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> Iterator[None]:
    """Where this process is stopped within it, lets `child` end in order before the stop is passed on."""
    try:
        yield
    except KeyboardInterrupt as stopped:
        if isinstance(stopped, Terminated):  # Ctrl-C has reached it already
            child.terminate()
        child.wait()
        raise
