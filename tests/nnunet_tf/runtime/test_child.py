import subprocess
import sys

import pytest

from nnunet_tf.runtime.child import stopped_alike
from nnunet_tf.runtime.stopping import Terminated

pytestmark = pytest.mark.slow

# Says more than a pipe holds once it is told to end.
TALKS_AT_THE_END = """
import signal, sys, time

def end(number, frame):
    print("word " * 100_000, flush=True)
    sys.exit(7)

signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("stop", [Terminated, KeyboardInterrupt])
def test_a_child_ends_in_order_however_this_process_alone_is_stopped(stop):
    command = [sys.executable, "-c", TALKS_AT_THE_END]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        with pytest.raises(stop), stopped_alike(child, seconds_to_end=0.1):
            raise stop
        assert child.returncode == 7


def test_a_child_that_ctrl_c_has_reached_is_left_to_end_by_itself():
    command = [sys.executable, "-c", "import sys; sys.stdin.readline(); sys.exit(3)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as child:
        with pytest.raises(KeyboardInterrupt), stopped_alike(child):
            raise KeyboardInterrupt
        assert child.returncode == 3
