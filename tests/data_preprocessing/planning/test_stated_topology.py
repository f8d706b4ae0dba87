"""Topologies that a config states: `topology_3d` and `topology_2d` of a TaskConfig."""

import pytest

from data_preprocessing.common.task import StatedTopology, TaskConfig
from data_preprocessing.planning.plan import make_plan
from data_preprocessing.planning.topology import Topology
from tests.data_preprocessing.samples import make_config, make_dataset

STAGES = {
    "strides": [[1, 1, 1], [2, 1, 2], [2, 2, 1]],
    "kernels": [[3, 1, 3], [3, 3, 3], [3, 3, 3]],
    "features": [4, 6, 9],
}
PLANAR = {"strides": [[1, 1], [2, 4]], "kernels": [[3, 1], [5, 3]], "features": [4, 7]}


def config_of(**changes) -> TaskConfig:
    return make_config(**({"nonzero_mask": False} | changes))


def test_a_stated_3d_topology_is_used_in_network_order():
    config = config_of(patch_size_3d=(8, 6, 10), spacing_3d=(1.0, 1.0, 3.0), topology_3d=STAGES)
    plan = make_plan(config, make_dataset(), 3)
    assert (plan.axis_order, plan.patch_size) == ((2, 0, 1), (10, 8, 6))
    assert plan.topology == Topology(
        strides=((1, 1, 1), (2, 2, 1), (1, 2, 2)),
        kernels=((3, 3, 1), (3, 3, 3), (3, 3, 3)),
        features=(4, 6, 9),
    )


def test_a_stated_2d_topology_is_used_as_it_stands():
    config = config_of(patch_size_2d=(10, 12), spacing_3d=(1.0, 1.0, 3.0), topology_2d=PLANAR)
    topology = make_plan(config, make_dataset(), 2).topology
    assert topology == Topology(strides=((1, 1), (2, 4)), kernels=((3, 1), (5, 3)), features=(4, 7))


def test_each_dimension_has_its_own_topology():
    config = config_of(patch_size_3d=(8, 6, 10), topology_3d=STAGES)
    assert make_plan(config, make_dataset(), 2).topology == make_plan(config_of(), make_dataset(), 2).topology


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"strides": [[1, 1, 1], [2, 2, 2]]}, r"strides \(2\), kernels \(3\) and features \(3\)"),
        ({"kernels": [[3, 3, 3]]}, r"kernels \(1\)"),
        ({"features": [4, 6]}, r"features \(2\)"),
        ({"strides": [], "kernels": [], "features": []}, "at least 1"),
        ({"strides": [[2, 1, 1], [2, 1, 2], [2, 2, 1]]}, "first stage keeps the resolution"),
        ({"kernels": [[3, 2, 3], [3, 3, 3], [3, 3, 3]]}, "kernels must be odd"),
        ({"strides": [[1, 1, 1], [2, 0, 2], [2, 2, 1]]}, "greater than 0"),
        ({"features": [4, 6, 0]}, "greater than 0"),
        ({"stages": 3}, "[Ee]xtra"),
    ],
)
def test_stages_that_do_not_hold_together_are_refused(changes, match):
    with pytest.raises(ValueError, match=match):
        StatedTopology(**(STAGES | changes))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"patch_size_3d": (8, 7, 10)}, r"topology_3d: its strides divide by \[4, 2, 2\].*\[8, 7, 10\]"),
        ({"topology_3d": PLANAR}, "topology_3d: each stride and kernel must have 3 numbers"),
        ({"topology_2d": STAGES}, "topology_2d: each stride and kernel must have 2 numbers"),
        ({"topology_3d": STAGES | {"strides": [[1, 1, 1], [2, 1], [2, 2, 1]]}}, "must have 3 numbers"),
        ({"topology_3d": STAGES | {"kernels": [[3, 1, 3], [3, 3], [3, 3, 3]]}}, "must have 3 numbers"),
        ({"patch_size_3d": None}, "topology_3d needs its patch_size_3d"),
        ({"features": (4, 6, 9)}, "both state the channels"),
    ],
)
def test_a_topology_that_does_not_fit_its_config_is_refused(changes, match):
    with pytest.raises(ValueError, match=match):
        config_of(**({"patch_size_3d": (8, 6, 10), "topology_3d": STAGES} | changes))
