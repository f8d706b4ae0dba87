"""Several training processes on one machine, through Horovod's launcher."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from data_preprocessing.errors import UserError
from nnunet_tf.runtime.command_line import Terminated
from nnunet_tf.runtime.device import Device, count_gpus

START_TIMEOUT_SECONDS = 180  # importing TensorFlow in all processes of a loaded machine takes a while
HOROVOD_CHATTER = "horovod/common/"  # what its C++ says about a connection that went away
WORKER_LINE = re.compile(r"^\[(\d+)\]<(stdout|stderr)>:?(.*)$", re.DOTALL)


def started_by_launcher() -> bool:
    """Returns whether this process is one of several that Horovod's launcher started."""
    return int(os.environ.get("HOROVOD_SIZE", "1")) > 1


def local_rank() -> int:
    """Returns the number of this process on its machine."""
    return int(os.environ.get("HOROVOD_LOCAL_RANK", "0"))


def check_workers(workers: int, device: Device) -> None:
    """Raises UserError when more GPUs are asked for than there are."""
    if device == "cpu":
        return
    found = count_gpus()
    if workers > found:
        raise UserError(
            f"--gpus {workers}: TensorFlow sees {found} GPU{'s' * (found != 1)} on this machine; "
            f"use --gpus {max(found, 1)}, or --device cpu for {workers} processes on the CPU"
        )


def launch(workers: int, command: Sequence[str]) -> None:
    """Runs `command` (script and its arguments) in `workers` processes on this machine and waits for them.

    Shows the output of rank 0 as it is, and the standard error of the others with their rank before it. Raises
    UserError when Horovod is not installed, the machine cannot resolve its own name, or a worker fails.
    """
    if find_spec("horovod") is None:
        raise UserError("--gpus: several workers need Horovod, which is not installed; run `make setup`")
    _check_own_name()
    launcher = [sys.executable, "-m", "horovod.runner.launch", "--gloo", "-np", str(workers)]
    launcher += ["--start-timeout", str(START_TIMEOUT_SECONDS), sys.executable, *command]
    with subprocess.Popen(launcher, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                shown = _shown(line)
                if shown is not None:
                    print(shown, end="", flush=True)
        except KeyboardInterrupt as stopped:
            if isinstance(stopped, Terminated):  # Ctrl-C has reached the launcher already
                process.terminate()
            process.wait()
            raise
    if process.returncode:
        raise UserError(
            "a worker failed or was killed, its last words stand above; mend that and start again, a training with "
            "--resume where an epoch was finished"
        )


def _check_own_name() -> None:
    """Horovod crashes without a word where the machine's name leads nowhere."""
    name = socket.gethostname()
    try:
        socket.gethostbyname(name)
    except OSError:
        raise UserError(f"--gpus: this machine's own name, {name}, leads nowhere; add it to /etc/hosts") from None


def _shown(line: str) -> str | None:
    """What of a launcher's line reaches the user; None for the launcher's own words."""
    match = WORKER_LINE.match(line)
    if not match or HOROVOD_CHATTER in line:
        return None
    rank, stream, text = match.groups()
    if rank == "0":
        return text
    return f"[worker {rank}] {text}" if stream == "stderr" and text.strip() else None
