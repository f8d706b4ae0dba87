"""Several processes that run the same command, through Horovod's launcher."""

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from pydantic import NonNegativeInt, PositiveInt

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.script import INSTALLED
from data_preprocessing.common.stopping import child_environment
from data_preprocessing.common.task import Strict
from data_preprocessing.common.text import counted
from nnunet_tf.launch.horovod.output import Output
from nnunet_tf.launch.hosts import THIS_MACHINE, Host, all_here, check_own_name, fill, is_here
from nnunet_tf.runtime.child import stopped_alike
from nnunet_tf.runtime.device import Device, count_gpus

START_TIMEOUT_SECONDS = 180  # importing TensorFlow in all processes of a loaded machine takes a while
CONNECTION_TIMEOUT_SECONDS = 120  # for as long workers wait for one that is still starting, or has gone silent


class Connection(Strict, frozen=True):
    """How other machines are reached; None: as ssh does, and over whichever interface all of them have."""

    ssh_port: PositiveInt | None = None
    ssh_key: Path | None = None
    network_interface: str | None = None


class Elastic(Strict, frozen=True):
    """A number of workers that may change. `discovery` is a command that prints the machines there are, `a:8`, a line
    each; None: those given.
    """

    min_workers: PositiveInt
    max_workers: PositiveInt | None = None
    discovery: Path | None = None
    wait_seconds: NonNegativeInt


class Launch(Strict, frozen=True):
    """How many workers run where; without `hosts` all on this machine."""

    workers: PositiveInt
    hosts: tuple[Host, ...] = ()
    connection: Connection = Connection()
    elastic: Elastic | None = None

    @property
    def machines(self) -> tuple[Host, ...]:
        """The machines and the slots used of each at the start; with elastic training, all slots given."""
        here = Host(name=THIS_MACHINE, slots=self.workers)
        return self.hosts if self.hosts and self.elastic else fill(self.hosts or (here,), self.workers)


def check_devices(launch: Launch, device: Device) -> None:
    """Raises UserError when more GPUs of this machine are asked for than there are.

    Other machines cannot be seen from here: their workers complain themselves.
    """
    if device == "cpu" or (launch.elastic and launch.elastic.discovery):
        return
    workers = sum(host.slots for host in launch.machines if is_here(host.name))
    found = count_gpus() if workers else 0
    if workers > found:
        raise UserError(
            f"--gpus {launch.workers}: TensorFlow sees {counted(found, 'GPU')} on this machine, which is to "
            f"run {counted(workers, 'worker')}; ask for fewer, or --device cpu for processes on the CPU"
        )


def start(launch: Launch, command: Sequence[str]) -> None:
    """Runs `command` (script and its arguments) in all workers, in this folder, and waits for them.

    Shows what `Output` says. Raises UserError when Horovod is not installed, the machine cannot resolve its own name,
    or a worker ends with an error of the user's; CommandFailed when one fails otherwise or is killed.
    """
    check_horovod()
    check_own_name(alone=all_here(launch.hosts))
    name = INSTALLED if command[0] == "-m" else Path(command[0]).name
    output = Output(name, elastic=launch.elastic is not None)
    environment = child_environment() | {
        "PYTHONPATH": os.pathsep.join(filter(None, [_root(), os.environ.get("PYTHONPATH")]))
    }
    words = _elastic_words(launch, command) if launch.elastic else _words(launch, command)
    with (
        subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            env=environment,
        ) as process,
        stopped_alike(process),
    ):
        assert process.stdout is not None
        for line in process.stdout:
            shown = output.shown(line)
            if shown is not None:
                print(shown, end="", flush=True)
    if process.returncode:
        raise output.error()


def check_horovod() -> None:
    """Raises UserError when Horovod is not installed."""
    if find_spec("horovod") is None:
        raise UserError(
            "several workers need Horovod, which is not installed; in a checkout `make setup` builds it, as "
            "docs/installation.md says for other environments"
        )


def _words(launch: Launch, command: Sequence[str]) -> list[str]:
    words = [sys.executable, "-m", "nnunet_tf.launch.horovod.launcher", "--gloo", "-np", str(launch.workers)]
    words += ["--start-timeout", str(START_TIMEOUT_SECONDS)]
    words += ["--gloo-timeout-seconds", str(CONNECTION_TIMEOUT_SECONDS)]
    words += ["-H", ",".join(map(str, launch.machines)), "--disable-cache"] if launch.hosts else []
    connection = launch.connection
    words += ["-p", str(connection.ssh_port)] if connection.ssh_port else []
    words += ["-i", str(connection.ssh_key)] if connection.ssh_key else []
    words += ["--network-interfaces", connection.network_interface] if connection.network_interface else []
    return [*words, "--", sys.executable, *command]


def _elastic_words(launch: Launch, command: Sequence[str]) -> list[str]:
    return [
        sys.executable,
        "-m",
        "nnunet_tf.launch.horovod.elastic_driver",
        launch.model_dump_json(),
        sys.executable,
        *command,
    ]


def _root() -> str:
    """The folder that `nnunet_tf` is imported from."""
    return str(Path(__file__).resolve().parents[3])
