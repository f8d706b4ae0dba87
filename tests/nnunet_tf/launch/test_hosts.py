import argparse

import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.launch.hosts import all_here, check_own_name, fill, is_here, parse_hosts


def test_machines_are_filled_in_the_order_they_are_given():
    hosts = parse_hosts("a:8, b-1.cluster:4")
    assert [str(host) for host in hosts] == ["a:8", "b-1.cluster:4"]
    assert [str(host) for host in fill(hosts, 12)] == ["a:8", "b-1.cluster:4"]
    assert [str(host) for host in fill(hosts, 9)] == ["a:8", "b-1.cluster:1"]
    assert [str(host) for host in fill(hosts, 3)] == ["a:3"]
    with pytest.raises(UserError, match=r"--gpus 13: --hosts has 12 slots"):
        fill(hosts, 13)


@pytest.mark.parametrize("words", ["", "a", "a:0", "a:x", "a:1,", "a:1;b:1", "a:1,b:2,a:3", "$(reboot):1"])
def test_what_is_no_list_of_machines_is_refused(words):
    with pytest.raises(argparse.ArgumentTypeError):
        parse_hosts(words)


def test_this_machine_is_known_by_its_addresses():
    assert is_here("localhost")
    assert is_here("127.0.0.1")
    assert not is_here("nowhere.invalid")


def test_a_name_that_other_machines_cannot_reach_is_refused_where_there_are_some(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "localhost")
    assert all_here(parse_hosts("localhost:2"))
    check_own_name(alone=True)
    assert not all_here(parse_hosts("localhost:2,elsewhere.invalid:2"))
    with pytest.raises(UserError, match=r"^localhost, this machine's own name, leads to 127.0.0.1"):
        check_own_name(alone=False)
