"""Children end with the process that started them, however that one ends."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from data_preprocessing.common import stopping

CHILD = """
import sys, time
from data_preprocessing.common import stopping
if sys.argv[1] == "polled":
    stopping._ask_for_signal = lambda: False
stopping.end_with_starter()
print("ready", flush=True)
time.sleep(600)
"""
STARTER = """
import subprocess, sys, time
from data_preprocessing.common.stopping import child_environment
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]], env=child_environment())
print(child.pid, flush=True)
time.sleep(600)
"""
SECONDS = 5


@pytest.mark.slow
@pytest.mark.parametrize("how", ["told", "polled"])
def test_a_child_ends_soon_after_its_starter_was_killed(how):
    words = [sys.executable, "-c", STARTER, CHILD, how]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as starter:
        child = psutil.Process(int(starter.stdout.readline()))
        assert starter.stdout.readline() == "ready\n"
        starter.send_signal(signal.SIGKILL)
        end = time.monotonic() + SECONDS
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE and time.monotonic() < end:
            time.sleep(0.1)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_a_child_whose_starter_has_gone_already_ends_at_once():
    environment = os.environ | {stopping.PARENT_VARIABLE: "1"}
    ended = subprocess.run([sys.executable, "-c", CHILD, "told"], env=environment, timeout=60, check=False)
    assert ended.returncode == -signal.SIGTERM


def test_a_process_that_nobody_started_so_goes_on(monkeypatch):
    monkeypatch.delenv(stopping.PARENT_VARIABLE, raising=False)
    monkeypatch.setattr(stopping, "end_with_parent", lambda parent=None: pytest.fail("would end with its parent"))
    stopping.end_with_starter()
