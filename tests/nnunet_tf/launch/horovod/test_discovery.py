import pytest

from data_preprocessing.common.errors import UserError

pytest.importorskip("horovod", reason="Horovod is not installed: make setup")

from nnunet_tf.launch.horovod.discovery import Slot, SlotDiscovery, run_discovery
from nnunet_tf.launch.hosts import parse_hosts


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "discover.sh"

    def prints(text, status=0):
        path.write_text(f"#!/bin/sh\nprintf '{text}'\necho oh >&2\nexit {status}\n")
        path.chmod(0o755)
        return path

    return prints


def test_every_slot_is_a_host_of_its_own():
    discovery = SlotDiscovery(parse_hosts("a:2,b:1"), None)
    hosts = discovery.find_available_hosts_and_slots()
    assert set(hosts.values()) == {1}
    assert [discovery.slot(host) for host in hosts] == [Slot("a", 0, 2), Slot("a", 1, 2), Slot("b", 0, 1)]
    assert discovery.find_available_hosts_and_slots() == hosts


def test_slots_that_are_added_leave_the_others_as_they_are(script):
    discovery = SlotDiscovery((), script("a:1\\n"))
    before = discovery.find_available_hosts_and_slots()
    script("a:2\\nb:1\\n")
    assert set(before) < set(discovery.find_available_hosts_and_slots())


def test_a_machine_that_comes_back_is_not_barred(script):
    discovery = SlotDiscovery((), script("a:1\\nb:1\\n"))
    before = set(discovery.find_available_hosts_and_slots())
    script("a:1\\n")
    without = set(discovery.find_available_hosts_and_slots())
    script("a:1\\nb:1\\n")
    after = set(discovery.find_available_hosts_and_slots())
    assert without < before
    assert before & after == without
    assert len(after) == 2


def test_no_machine_at_the_moment_is_an_answer(script):
    assert run_discovery(script("")) == ()


def test_a_script_that_fails_or_prints_something_else_is_refused(script, tmp_path):
    with pytest.raises(UserError, match=r"ended with status 3 \(oh\)"):
        run_discovery(script("a:1", status=3))
    with pytest.raises(UserError, match="'a' is not a machine"):
        run_discovery(script("a"))
    with pytest.raises(UserError, match="a program that prints"):
        run_discovery(tmp_path / "nowhere")
