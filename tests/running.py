"""Trainings that go on while a test looks at them and stops them."""

import json
import os
import re
import signal
import time

import numpy as np
import psutil

SHORT = ["--epochs", 1, "--steps-per-epoch", 2]
CHATTER = re.compile(r"oneDNN|absl|cpu_feature|TensorFlow binary|WARNING|^[IWE]\d{4} ", re.MULTILINE)  # TensorFlow's


def wait_for_epochs(process, model, count, timeout=300):
    """Waits until so many epochs are finished, checkpoint included."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        if (model / "checkpoint.npz").exists() and int(np.load(model / "checkpoint.npz")["epochs_done"]) >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"no {count} epochs in {timeout} s")


def worker(process, rank):
    """The process of the worker that was started with this rank."""
    children = psutil.Process(process.pid).children(recursive=True)
    return next(
        child
        for child in children
        if child.name().startswith("python") and child.environ().get("HOROVOD_RANK") == str(rank)
    )


def losses(model):
    """The loss of every epoch of the run in a model folder."""
    return [json.loads(line)["loss"] for line in (model / "metrics.jsonl").read_text().splitlines()]


def arrays(path):
    """What an .npz file holds, by name."""
    with np.load(path) as content:
        return {name: content[name] for name in content.files}


def epochs_done(model):
    """How many epochs the checkpoint in a model folder holds."""
    with np.load(model / "checkpoint.npz") as saved:
        return int(saved["epochs_done"])


def end(process, number):
    """Sends a signal as a user does, Ctrl-C to all processes of the terminal, and returns the lines said since.

    Checks that no process is left.
    """
    children = psutil.Process(process.pid).children(recursive=True)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    try:
        _, said = process.communicate(timeout=60)  # until the last of them has closed its standard error
    finally:
        left = [child for child in psutil.wait_procs(children, timeout=10)[1] if not is_zombie(child)]
        for child in left:
            child.kill()
    assert left == []
    assert "Traceback" not in said, said
    return said.splitlines()


def is_zombie(process):
    """Whether a process has ended, and nobody has asked how."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def read_until(stream, words):
    """Returns what a stream says until a line that begins with `words`, that line included."""
    said = ""
    for line in stream:
        said += line
        if line.startswith(words):
            return said
    raise AssertionError(said)
