import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.launch.mpi.placement import Arrival, find_places


def arrival(rank, machine, local_rank=None, local_size=None, cores=(0, 1), own="127.0.0.1"):
    leader = "127.0.0.1" if own == "127.0.0.1" else "10.0.0.1"
    return Arrival(
        rank=rank,
        machine=machine,
        local_rank=local_rank,
        local_size=local_size,
        cores=cores,
        leader_address=leader,
        own_address=own,
    )


def test_one_machine_talks_over_its_loopback():
    places = find_places([arrival(0, "a", 0, 2), arrival(1, "a", 1, 2)])
    assert {each.address for each in places} == {"127.0.0.1"}
    assert [(each.local_rank, each.local_size, each.cross_rank, each.cross_size) for each in places] == [
        (0, 2, 0, 1),
        (1, 2, 0, 1),
    ]
    assert places[0].machines == 1


def test_workers_dealt_out_over_machines_in_turn_are_numbered_on_each():
    names = ["a", "b", "a", "b", "a"]
    own = {"a": "127.0.0.1", "b": "10.0.0.2"}
    places = find_places([arrival(rank, name, own=own[name]) for rank, name in enumerate(names)])
    assert [each.local_rank for each in places] == [0, 0, 1, 1, 2]
    assert [each.local_size for each in places] == [3, 2, 3, 2, 3]
    assert [(each.cross_rank, each.cross_size) for each in places] == [(0, 2), (1, 2), (0, 2), (1, 2), (0, 1)]
    # Those beside worker 0 are not reached at the loopback address at which they reach it.
    assert [each.address for each in places] == ["10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.2", "10.0.0.1"]
    assert places[0].machines == 2


def test_cores_are_shared_by_those_who_may_use_the_same():
    cores = [(0, 1), (2, 3), (0, 1), (2, 3)]
    places = find_places([arrival(rank, "a", cores=each) for rank, each in enumerate(cores)])
    assert [(each.core_share, each.core_shares) for each in places] == [(0, 2), (0, 2), (1, 2), (1, 2)]
    bound = find_places([arrival(0, "a", cores=(0,)), arrival(1, "a", cores=(1,)), arrival(2, "b", cores=(0,))])
    assert [(each.core_share, each.core_shares) for each in bound] == [(0, 1)] * 3


def test_machines_of_one_name_are_told_apart_by_nobody():
    with pytest.raises(UserError, match="1 of the workers run on the machine of worker 0, but 2 call theirs node"):
        find_places([arrival(0, "node", 0, 1), arrival(1, "node", 0, 1)])
