"""The machines of an elastic training as Horovod Elastic is told of them: a host for each worker."""

import argparse
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from horovod.runner.elastic.discovery import HostDiscovery

from data_preprocessing.common.errors import UserError
from nnunet_tf.launch.hosts import Host, parse_hosts

SCRIPT_SECONDS = 60


@dataclass(frozen=True)
class Slot:
    """The place of a worker: worker `number` of the `slots` on a machine."""

    machine: str
    number: int
    slots: int


class SlotDiscovery(HostDiscovery):
    """Gives Horovod a host for each slot of the machines that a script prints or, without one, of those given.

    Horovod never uses a host again on which a worker failed: so it is that slot only, not its machine. A machine that
    went away and came back gets new slots.
    """

    def __init__(self, machines: Sequence[Host], script: Path | None) -> None:
        self.machines, self.script = machines, script
        self._slots: dict[str, Slot] = {}
        self._returns: dict[str, int] = {}
        self._present: set[str] = set()

    def find_available_hosts_and_slots(self) -> dict[str, int]:
        """Returns the hosts there are now, as Horovod's driver asks every second; raises UserError where it cannot."""
        machines = run_discovery(self.script) if self.script else self.machines
        for machine in machines:
            if machine.name not in self._present:
                self._returns[machine.name] = self._returns.get(machine.name, -1) + 1
        self._present = {machine.name for machine in machines}
        now = {
            f"{machine.name}-slot{number}-{self._returns[machine.name]}": Slot(machine.name, number, machine.slots)
            for machine in machines
            for number in range(machine.slots)
        }
        self._slots |= now
        return dict.fromkeys(now, 1)

    def slot(self, host: str) -> Slot:
        """Returns the slot that a host of Horovod's is."""
        return self._slots[host]


def run_discovery(script: Path) -> tuple[Host, ...]:
    """Returns the machines that `script` prints; raises UserError where it fails or prints something else."""
    try:
        done = subprocess.run([script.resolve()], capture_output=True, text=True, timeout=SCRIPT_SECONDS, check=True)
        words = done.stdout.split()
        return parse_hosts(",".join(words)) if words else ()
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split()[-20:])
        raise UserError(f"--host-discovery {script}: ended with status {error.returncode} ({said}); mend it") from None
    except (OSError, subprocess.TimeoutExpired, argparse.ArgumentTypeError) as error:
        raise UserError(
            f"--host-discovery {script}: {error}; it has to be a program that prints lines such as a:8"
        ) from None
