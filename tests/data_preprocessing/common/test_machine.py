import os

import joblib
import psutil
import pytest

from data_preprocessing.common import machine

GIB = 2**30


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Control groups that a test writes: `write("memory.max", 5)`, the process being in /docker/one."""
    own = tmp_path / "own"
    own.write_text("4:memory:/docker/one\n3:cpu,cpuacct:/docker/one\n0::/docker/one\n")
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "OWN_CGROUPS", own)

    def write(name: str, value: object) -> None:
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")

    return write


def test_without_limits_all_that_is_free_can_be_taken(groups):
    assert machine.available_memory() == pytest.approx(psutil.virtual_memory().available, rel=0.2)
    assert machine.total_memory() == psutil.virtual_memory().total
    assert machine.available_cores() == len(machine.core_numbers())


@pytest.mark.parametrize(
    ("limit", "use", "stat", "reclaimed"),
    [
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        ("docker/memory.max", "docker/memory.current", "docker/memory.stat", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
    ],
)
def test_memory_is_what_the_control_group_leaves(groups, limit, use, stat, reclaimed):
    groups(limit, 100_000_000)
    groups(use, 70_000_000)
    assert machine.available_memory() == 30_000_000
    groups(stat, f"cache 1\n{reclaimed} 50000000")
    assert machine.available_memory() == 80_000_000
    assert machine.total_memory() == 100_000_000


@pytest.mark.parametrize("written", ["max", "9223372036854771712", "", "nonsense"])
def test_a_limit_that_is_none_changes_nothing(groups, written):
    groups("memory.max", written)
    groups("memory.current", 5)
    assert machine.total_memory() == psutil.virtual_memory().total


@pytest.mark.parametrize(("quota", "cores"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", None)])
def test_cores_follow_the_quota(groups, monkeypatch, quota, cores):
    monkeypatch.setattr(machine, "core_numbers", lambda: tuple(range(8)))
    groups("cpu.max", quota)
    assert machine.available_cores() == (cores or 8)


def test_cores_follow_the_quota_of_version_1(groups, monkeypatch):
    monkeypatch.setattr(machine, "core_numbers", lambda: tuple(range(8)))
    groups("cpu/docker/cpu.cfs_quota_us", 300000)
    groups("cpu/docker/cpu.cfs_period_us", 100000)
    assert machine.available_cores() == 3
    groups("cpu/docker/cpu.cfs_quota_us", -1)
    assert machine.available_cores() == 8


def test_cores_are_as_joblib_counts_them():
    assert machine.available_cores() == joblib.cpu_count()


def test_a_system_without_affinity_has_all_its_cores(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert machine.core_numbers() == tuple(range(os.cpu_count()))
