"""How workers that mpirun or srun started find each other, and what Horovod is then told of them.

Horovod's launcher runs a server at which workers meet; here worker 0 runs it. Where it is stands in a file in the
model folder until all have come: the one place that all of them share.
"""

import hashlib
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil
from pydantic import PositiveInt, ValidationError

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import write_model
from data_preprocessing.common.machine import core_numbers
from data_preprocessing.common.task import Strict
from nnunet_tf.launch.horovod.workers import CONNECTION_TIMEOUT_SECONDS, START_TIMEOUT_SECONDS, check_horovod
from nnunet_tf.launch.hosts import check_own_name
from nnunet_tf.launch.launchers import Given
from nnunet_tf.launch.mpi.placement import LOOPBACK_ADDRESS, Arrival, Place, find_places

ANSWER_TIMEOUT_SECONDS = 2.0  # of an address that may be no way to worker 0
KNOWN_TIMEOUT_SECONDS = 30.0  # of the one that is
SECONDS_BETWEEN_TRIES = 0.1


class Server(Strict, frozen=True):
    """Where worker 0's server is, as the file says; it answers with `token`, so that no other is taken for it."""

    addresses: tuple[str, ...]
    port: PositiveInt
    token: str


def meet(
    given: Given, folder: Path, interface: str | None = None, wait_seconds: float = START_TIMEOUT_SECONDS
) -> Place:
    """Waits for all workers in `folder`, sets the variables by which Horovod connects them, and returns the own place.

    Raises UserError when some do not come within `wait_seconds`, Horovod or `interface` is not there, or the machine's
    own name cannot be used.
    """
    check_horovod()
    own_addresses = _addresses(interface)
    file = folder / _file_name(given)
    deadline = time.monotonic() + wait_seconds
    place, leader, port = (_lead if given.rank == 0 else _follow)(given, file, own_addresses, deadline, wait_seconds)
    check_own_name(alone=place.machines == 1)
    name = next((name for name, address in own_addresses if interface or address == place.address), None)
    if name is None:
        raise UserError(
            f"{place.address}, where others reach this machine, is of none of its interfaces; give one by "
            "--network-interface"
        )
    for variable, value in {
        "HOROVOD_RANK": given.rank,
        "HOROVOD_SIZE": given.size,
        "HOROVOD_LOCAL_RANK": place.local_rank,
        "HOROVOD_LOCAL_SIZE": place.local_size,
        "HOROVOD_CROSS_RANK": place.cross_rank,
        "HOROVOD_CROSS_SIZE": place.cross_size,
        "HOROVOD_HOSTNAME": socket.gethostname(),
        "HOROVOD_GLOO_RENDEZVOUS_ADDR": leader,
        "HOROVOD_GLOO_RENDEZVOUS_PORT": port,
        "HOROVOD_CONTROLLER": "gloo",
        "HOROVOD_CPU_OPERATIONS": "gloo",
        "HOROVOD_GLOO_IFACE": name,
    }.items():
        os.environ[variable] = str(value)
    os.environ.setdefault("HOROVOD_GLOO_TIMEOUT_SECONDS", str(CONNECTION_TIMEOUT_SECONDS))
    os.environ.setdefault("NCCL_SOCKET_IFNAME", name)
    return place


def _lead(
    given: Given, file: Path, own_addresses: list[tuple[str, str]], deadline: float, wait_seconds: float
) -> tuple[Place, str, int]:
    """Runs the server, which lives as long as this process; returns the own place, its address and port."""
    from horovod.runner.common.util.hosts import SlotInfo
    from horovod.runner.http.http_server import RendezvousServer

    rendezvous = RendezvousServer()
    port = rendezvous.start()
    server = Server(addresses=tuple(address for _, address in own_addresses), port=port, token=secrets.token_hex())
    arrivals = {0: _arrival(given, LOOPBACK_ADDRESS, LOOPBACK_ADDRESS)}
    with _connection(LOOPBACK_ADDRESS, port) as connection:
        _put(connection, "token", server.token)
        try:
            write_model(file, server)
            while missing := sorted(set(range(given.size)) - set(arrivals)):
                if time.monotonic() > deadline:
                    raise UserError(
                        f"of {given.size} workers that {given.launcher} started, these did not come to {file.parent} "
                        f"in {wait_seconds:.0f} s: {', '.join(map(str, missing))}; see what they say, and that all "
                        "machines have that folder"
                    )
                said = {rank: _get(connection, f"arrival_{rank}") for rank in missing}
                arrivals |= {rank: Arrival.model_validate_json(text) for rank, text in said.items() if text}
                time.sleep(SECONDS_BETWEEN_TRIES)
        finally:
            with suppress(OSError):
                file.unlink(missing_ok=True)
        together = [arrivals[rank] for rank in range(given.size)]
        places = find_places(together)
        slots = [
            SlotInfo(a.machine, a.rank, p.local_rank, p.cross_rank, given.size, p.local_size, p.cross_size)
            for a, p in zip(together, places, strict=True)
        ]
        rendezvous.init(slots)  # which forgets what was put there
        for rank, place in enumerate(places):
            _put(connection, f"place_{rank}", place.model_dump_json())
    return places[0], LOOPBACK_ADDRESS, port


def _follow(
    given: Given, file: Path, own_addresses: list[tuple[str, str]], deadline: float, wait_seconds: float
) -> tuple[Place, str, int]:
    """Finds worker 0's server; returns the own place, and the server's address and port."""
    while True:
        found = _find(file)
        if found:
            break
        if time.monotonic() > deadline:
            raise UserError(
                f"worker {given.rank} found nothing of worker 0 in {file.parent} for {wait_seconds:.0f} s; see what "
                "that says, and that all machines have that folder and reach each other"
            )
        time.sleep(SECONDS_BETWEEN_TRIES)
    server, address, own_address = found
    try:
        with _connection(address, server.port) as connection:
            _put(connection, f"arrival_{given.rank}", _arrival(given, address, own_address).model_dump_json())
            said = None
            while not said:  # worker 0 ends its waiting, and with it this
                time.sleep(SECONDS_BETWEEN_TRIES)
                said = _get(connection, f"place_{given.rank}")
    except (OSError, HTTPException):
        raise UserError(f"worker {given.rank}: worker 0 has ended before all had come; see what it says") from None
    return Place.model_validate_json(said), address, server.port


def _find(file: Path) -> tuple[Server, str, str] | None:
    """Returns worker 0's server, its address that can be reached from here and the own address in that network."""
    try:
        list(file.parent.iterdir())  # so that a network's file system looks again
        server = Server.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None
    for address in (LOOPBACK_ADDRESS, *server.addresses):
        with suppress(OSError, HTTPException), _connection(address, server.port, ANSWER_TIMEOUT_SECONDS) as connection:
            if _get(connection, "token") == server.token:
                return server, address, _own_address(address, server.port)
    return None


def _arrival(given: Given, leader_address: str, own_address: str) -> Arrival:
    return Arrival(
        rank=given.rank,
        machine=socket.gethostname(),
        local_rank=given.local_rank,
        local_size=given.local_size,
        cores=core_numbers(),
        leader_address=leader_address,
        own_address=own_address,
    )


def _file_name(given: Given) -> str:
    """Hidden, and shaped so that a training that takes the folder over clears it away where a killed one left it."""
    words = json.dumps([given.launcher, given.size, given.job])
    return f".workers.{hashlib.sha256(words.encode()).hexdigest()[:16]}.json"


def _addresses(interface: str | None) -> list[tuple[str, str]]:
    """This machine's interfaces with their IPv4 addresses, or those of the one interface."""
    pairs = [
        (name, each.address)
        for name, some in psutil.net_if_addrs().items()
        for each in some
        if each.family == socket.AF_INET
    ]
    if interface is None:
        return pairs
    own = [(name, address) for name, address in pairs if name == interface]
    if not own:
        names = ", ".join(sorted({name for name, _ in pairs}))
        raise UserError(
            f"--network-interface {interface}: {socket.gethostname()} has no such one with IPv4, but {names}"
        )
    return own


def _own_address(address: str, port: int) -> str:
    with socket.create_connection((address, port), ANSWER_TIMEOUT_SECONDS) as connection:
        return str(connection.getsockname()[0])


@contextmanager
def _connection(address: str, port: int, timeout: float = KNOWN_TIMEOUT_SECONDS) -> Iterator[HTTPConnection]:
    """A connection to Horovod's server, whatever proxy the environment names."""
    connection = HTTPConnection(address, port, timeout=timeout)
    try:
        yield connection
    finally:
        connection.close()


def _put(connection: HTTPConnection, key: str, text: str) -> None:
    connection.request("PUT", f"/nnunet_tf/{key}", body=text.encode())
    connection.getresponse().read()


def _get(connection: HTTPConnection, key: str) -> str | None:
    connection.request("GET", f"/nnunet_tf/{key}")
    response = connection.getresponse()
    said = response.read().decode()
    return said if response.status == HTTPStatus.OK else None
