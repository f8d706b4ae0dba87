"""Which processor cores a worker runs on."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.machine import core_numbers

SYSTEM = Path("/sys/devices/system")


def bind(local_rank: int, local_size: int) -> int:
    """Gives this process, of `local_size` on this machine, cores of its own, and so every thread it starts from now on.

    Returns how many they are. Raises UserError when there are more processes than cores.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise UserError("--bind: this system does not bind processes to cores; leave --bind out")
    cores = in_order(core_numbers())
    if local_size > len(cores):
        raise UserError(f"--bind: {local_size} workers on {len(cores)} cores; leave --bind out, or use fewer workers")
    own = part(cores, local_rank, local_size)
    os.sched_setaffinity(0, own)
    return len(own)


def part(cores: Sequence[int], index: int, count: int) -> Sequence[int]:
    """Returns part `index` of `count` of the cores: runs as long as can be, all of them used."""
    return cores[index * len(cores) // count : (index + 1) * len(cores) // count]


def in_order(cores: Collection[int], system: Path = SYSTEM) -> list[int]:
    """Returns the cores by memory node (NUMA), then by physical core, so that threads of one core stay together.

    Where the system does not say, they stand by number.
    """
    node = {core: index for index, folder in enumerate(_nodes(system)) for core in _core_list(folder / "cpulist")}

    def place(core: int) -> tuple[int, int, int, int]:
        topology = system / "cpu" / f"cpu{core}" / "topology"
        package, physical = (_number(topology / name) for name in ("physical_package_id", "core_id"))
        return node.get(core, 0), package, physical, core

    return sorted(cores, key=place)


def _nodes(system: Path) -> list[Path]:
    return sorted((system / "node").glob("node[0-9]*"), key=lambda folder: int(folder.name.removeprefix("node")))


def _core_list(path: Path) -> list[int]:
    """The numbers of a list such as `0-3,8`."""
    try:
        words = path.read_text().strip().split(",")
    except OSError:
        return []
    ends = [[int(end) for end in word.split("-")] for word in words if word]
    return [core for each in ends for core in range(each[0], each[-1] + 1)]


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
