"""What this process may use of its machine: cores and memory, within the limits of a container or a scheduler."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
# Of each version of control groups: the controller's mount, its limit, its use, and what of that is reclaimed at once.
MEMORY_FILES = (
    ("", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def available_cores() -> int:
    """Returns how many processors this process may use: by affinity, and by the quotas of its control groups.

    As `joblib.cpu_count`, whose import takes longer than the help of a command may.
    """
    return max(1, min([len(core_numbers()), *_quotas()]))


def core_numbers() -> tuple[int, ...]:
    """Returns the numbers of the processors this process may run on; all where the system does not tell (macOS)."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def available_memory() -> int:
    """Returns the bytes that can be taken now: those free on the machine, or left to the process's control group."""
    return max(0, min([psutil.virtual_memory().available, *_left_in_groups()]))


def total_memory() -> int:
    """Returns the bytes of the machine, or the limit of the process's control group where that is lower."""
    limits = [limit for limit, _ in _limits_and_uses()]
    return min([psutil.virtual_memory().total, *limits])


def _left_in_groups() -> Iterator[int]:
    return (limit - used for limit, used in _limits_and_uses())


def _quotas() -> Iterator[int]:
    """Processors' worth of time of each control group that has a limit, rounded up."""
    for group in _groups("") + _groups("cpu"):
        try:
            quota, period = (group / "cpu.max").read_text().split()
        except (OSError, ValueError):
            quota, period = str(_number(group / "cpu.cfs_quota_us")), str(_number(group / "cpu.cfs_period_us"))
        if quota.isdecimal() and period.isdecimal() and int(quota) and int(period):
            yield math.ceil(int(quota) / int(period))


def _limits_and_uses() -> Iterator[tuple[int, int]]:
    """Limit and use of the process's group and of all that it lies in; inside a container the mount is its own."""
    for controller, limit_name, use_name, reclaimed_name in MEMORY_FILES:
        for group in _groups(controller):
            limit, used = _number(group / limit_name), _number(group / use_name)
            if limit is not None and used is not None:
                yield limit, max(0, used - _reclaimed(group / "memory.stat", reclaimed_name))


def _groups(controller: str) -> list[Path]:
    mount, path = CGROUPS / controller, Path(_own_paths().get(controller, "/").lstrip("/"))
    return list(dict.fromkeys([mount, *(mount / each for each in (path, *path.parents))]))


def _own_paths() -> dict[str, str]:
    """The process's control group of each controller; that of version 2 has no name."""
    try:
        lines = OWN_CGROUPS.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    parts = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    return {controller: path for _, controllers, path in parts for controller in controllers.split(",")}


def _reclaimed(path: Path, name: str) -> int:
    """Bytes of file cache that count as used, and are given up as soon as memory is short."""
    try:
        fields = dict(line.split() for line in path.read_text().splitlines())
        return int(fields.get(name, 0))
    except (OSError, ValueError):
        return 0


def _number(path: Path) -> int | None:
    """The number in a file; None where there is none, or "max"."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
