"""Horovod Elastic's driver as a process of its own: python -m nnunet_tf.launch.horovod.elastic_driver LAUNCH COMMAND...

LAUNCH is a `Launch` as JSON. Prints what Horovod's own launcher prints, for `nnunet_tf.launch.horovod.output` to read.
"""

import itertools
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from shlex import join, quote
from threading import Event

from horovod.runner.common.util import safe_shell_exec, secret, timeout
from horovod.runner.common.util.hosts import SlotInfo
from horovod.runner.driver import driver_service
from horovod.runner.elastic.driver import ElasticDriver
from horovod.runner.elastic.settings import ElasticSettings
from horovod.runner.gloo_run import launch_gloo_elastic
from horovod.runner.http.http_server import RendezvousServer

from data_preprocessing.common.stopping import end_with_starter
from nnunet_tf.launch.horovod.discovery import SlotDiscovery
from nnunet_tf.launch.horovod.launcher import SECONDS_TO_END
from nnunet_tf.launch.horovod.workers import CONNECTION_TIMEOUT_SECONDS, START_TIMEOUT_SECONDS, Connection, Launch
from nnunet_tf.launch.hosts import is_here
from nnunet_tf.launch.ranks import SLOT_VARIABLE, SLOTS_VARIABLE

safe_shell_exec.GRACEFUL_TERMINATION_TIME_S = SECONDS_TO_END  # as in launcher.py

LOOPBACK = "lo"
TIMEOUT_VARIABLE = "HOROVOD_GLOO_TIMEOUT_SECONDS"
# A machine that is cut off closes no connection: ssh itself asks whether it is still there.
SSH = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=accept-new", "-o", "ConnectTimeout=10"]
SSH += ["-o", "LogLevel=ERROR", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"]


def main() -> None:
    """Runs the command on all workers until they have ended; fails when they have."""
    end_with_starter()
    launch, command = Launch.model_validate_json(sys.argv[1]), sys.argv[2:]
    assert launch.elastic
    discovery = SlotDiscovery(launch.machines, launch.elastic.discovery)
    settings = ElasticSettings(
        discovery=discovery,
        num_proc=launch.workers,
        min_num_proc=launch.elastic.min_workers,
        max_num_proc=launch.elastic.max_workers,
        elastic_timeout=launch.elastic.wait_seconds,
        reset_limit=None,
        nics=_interfaces(launch.connection),
        key=secret.make_secret_key(),
        start_timeout=timeout.Timeout(START_TIMEOUT_SECONDS, message="Timed out waiting for {activity}."),
        ssh_port=launch.connection.ssh_port,
        ssh_identity_file=launch.connection.ssh_key and str(launch.connection.ssh_key),
        verbose=0,
    )
    environment = {TIMEOUT_VARIABLE: str(CONNECTION_TIMEOUT_SECONDS)} | os.environ
    start = _start_worker(discovery, launch.connection)
    interfaces = _find_interfaces(discovery, settings)
    launch_gloo_elastic(command, start, settings, environment, interfaces, RendezvousServer(0), sys.executable)


def _start_worker(discovery: SlotDiscovery, connection: Connection) -> Callable:
    """What Horovod calls to run a worker: returns its status and when it ended."""
    numbers = itertools.count()

    def run(command: str, slot_info: SlotInfo, events: Sequence[Event]) -> tuple[int, float]:
        number, slot = next(numbers), discovery.slot(slot_info.hostname)
        words = f"env {SLOT_VARIABLE}={slot.number} {SLOTS_VARIABLE}={slot.slots} {command}"
        if not is_here(slot.machine):
            port = ["-p", str(connection.ssh_port)] if connection.ssh_port else []
            key = ["-i", str(connection.ssh_key)] if connection.ssh_key else []
            words = f"{join([*SSH, *port, *key, slot.machine])} {quote(f'cd {quote(str(Path.cwd()))} && {words}')}"
        status = safe_shell_exec.execute(words, index=number, events=list(events))
        if status:
            print(f"Process {number} exit with status code {status}.", flush=True)
        return status, time.time()

    return run


def _find_interfaces(discovery: SlotDiscovery, settings: ElasticSettings) -> Callable[[ElasticDriver], set[str]]:
    def find(driver: ElasticDriver) -> set[str]:
        hosts = driver.wait_for_available_slots(settings.num_proc).host_assignment_order
        machines = sorted({discovery.slot(host).machine for host in hosts})
        remote = [machine for machine in machines if not is_here(machine)]
        if settings.nics:
            return settings.nics
        return set(driver_service.get_common_interfaces(settings, machines, remote)) if remote else {LOOPBACK}

    return find


def _interfaces(connection: Connection) -> set[str] | None:
    return {connection.network_interface} if connection.network_interface else None


if __name__ == "__main__":
    main()
