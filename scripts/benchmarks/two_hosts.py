"""Training on two hosts, one of which is cut off: python -m scripts.benchmarks.two_hosts [--sshd /usr/sbin/sshd]

The hosts are network namespaces of this machine, joined by a virtual cable, with an ssh server in the second; they
share processors and disk, but nothing goes from one to the other but over that cable. First a run of two epochs on
both, then an elastic one, in which the cable is pulled in mid-epoch. Needs root, iproute2 and an ssh server.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmarks.machine import print_machine
from scripts.benchmarks.phantom_shards import write_shards

ROOT = Path(__file__).resolve().parents[2]
ADDRESSES = {"nnunet_a": "10.77.0.1", "nnunet_b": "10.77.0.2"}
INTERFACE = "cable"
PORT = 2222
SSHD_CONFIG = """
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
StrictModes no
PermitRootLogin yes
UsePAM no
PidFile none
"""
SSHD_USER = "sshd:x:64999:65534::/run/sshd:/usr/sbin/nologin\n"  # which the server wants to see


@dataclass(frozen=True)
class Hosts:
    """Two namespaces that are up; `key` opens the ssh server of the second."""

    first: str
    second: str
    key: Path

    @property
    def options(self) -> list[object]:
        """How train.py, run on the first, finds them."""
        machines = ",".join(f"{address}:1" for address in ADDRESSES.values())
        return ["--hosts", machines, "--ssh-port", PORT, "--ssh-key", self.key]

    def cut(self) -> None:
        """Pulls the cable out of the second."""
        inside(self.second, "ip", "link", "set", INTERFACE, "down")


def main() -> None:
    """Prints what both runs print, with the seconds since they began."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--sshd", default=shutil.which("sshd") or "/usr/sbin/sshd")
    parser.add_argument("--runs", nargs="+", choices=("fixed", "elastic"), default=["fixed", "elastic"])
    parser.add_argument("--steps", type=int, default=400, help="steps an epoch of the elastic run")
    options = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory(prefix="two_hosts_") as name:
        folder = Path(name)
        words = [*write_shards(folder), "--device", "cpu", "--batch-size", 1, "--validate-every", 0]
        with two_hosts(folder, options.sshd) as hosts:
            # Both have this machine's name, from which Horovod concludes that they reach each other over lo.
            words += [*hosts.options, "--network-interface", INTERFACE]
            if "fixed" in options.runs:
                print("Two hosts, two epochs", flush=True)
                train(hosts, [*words, "--results", folder / "fixed", "--epochs", 2, "--steps-per-epoch", 20])
            if "elastic" in options.runs:
                print("Elastic, the second host cut off in the second epoch", flush=True)
                elastic = ["--elastic", "--epochs", 3, "--steps-per-epoch", options.steps]
                train(hosts, [*words, *elastic, "--results", folder / "elastic"], cut_at="epoch 2/")


def train(hosts: Hosts, words: list[object], cut_at: str | None = None) -> None:
    """Runs train.py on the first host; cuts off the second once a line has `cut_at` in it."""
    start = time.monotonic()
    command = ["ip", "netns", "exec", hosts.first, sys.executable, "train.py", *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for line in process.stdout:
        print(f"{time.monotonic() - start:6.1f} s  {line}", end="", flush=True)
        if cut_at and cut_at in line:
            hosts.cut()
            cut_at = None
            print(f"{time.monotonic() - start:6.1f} s  -- the cable is pulled", flush=True)
    print(f"ended with status {process.wait()}, {time.monotonic() - start:.0f} s")


@contextmanager
def two_hosts(folder: Path, sshd: str) -> Iterator[Hosts]:
    """Yields the hosts; takes them away again, with all that still runs in them."""
    key = folder / "key"
    for path in (key, folder / "host_key"):
        subprocess.run(["ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-f", path], check=True)
    (folder / "sshd_config").write_text(SSHD_CONFIG.format(port=PORT, folder=folder))
    Path("/run/sshd").mkdir(exist_ok=True)  # the server wants to see it
    first, second = ADDRESSES
    files = Path("/etc/netns")  # `ip netns exec` puts what is below it in the place of that in /etc
    for name, address in ADDRESSES.items():
        ip("netns", "add", name)
        (files / name).mkdir(parents=True, exist_ok=True)
        (files / name / "hosts").write_text(f"127.0.0.1 localhost\n{address} {socket.gethostname()}\n")
        users = Path("/etc/passwd").read_text().replace(":/root:", f":{folder}:")  # whose ssh remembers these hosts
        (files / name / "passwd").write_text(users + SSHD_USER)
    server = None
    try:
        ip("link", "add", INTERFACE, "netns", first, "type", "veth", "peer", "name", INTERFACE, "netns", second)
        for name, address in ADDRESSES.items():
            inside(name, "ip", "link", "set", "lo", "up")
            inside(name, "ip", "address", "add", f"{address}/24", "dev", INTERFACE)
            inside(name, "ip", "link", "set", INTERFACE, "up")
        server = subprocess.Popen(["ip", "netns", "exec", second, sshd, "-D", "-e", "-f", folder / "sshd_config"])
        time.sleep(1)
        yield Hosts(first, second, key)
    finally:
        for name in ADDRESSES:
            left = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=True).stdout
            for process in left.split():
                os.kill(int(process), 9)
            ip("netns", "delete", name)
            shutil.rmtree(files / name)
        if server:
            server.wait()


def inside(name: str, *command: str) -> None:
    """Runs a command in a namespace."""
    ip("netns", "exec", name, *command)


def ip(*words: str) -> None:
    """Runs `ip`."""
    subprocess.run(["ip", *words], check=True)


if __name__ == "__main__":
    main()
