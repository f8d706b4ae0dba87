import pytest

from data_preprocessing.common.task import CTIntensities, load_task
from data_preprocessing.planning.fingerprint import ChannelIntensities
from data_preprocessing.planning.plan import make_plan, needs_fingerprint
from data_preprocessing.planning.planner import plan_config
from data_preprocessing.planning.topology import plan_topology
from data_preprocessing.transforms.normalize import Normalization
from tests.data_preprocessing.fingerprints import make_case, make_fingerprint, same_cases
from tests.data_preprocessing.samples import make_config, make_dataset

NULLS = {"spacing_3d": None, "spacing_2d": None, "patch_size_3d": None, "patch_size_2d": None}
CT = CTIntensities(low=-17, high=201, mean=99.4, std=39.36)
FOUND = ChannelIntensities(mean=50, std=20, low=-100, high=300)
THICK = same_cases(40, (200, 300, 24), (0.62, 0.7, 3.6))


def config_of(**changes):
    return make_config(**({"nonzero_mask": False} | changes))


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("task", [f"{number:02d}" for number in range(11)])
def test_no_shipped_config_needs_a_pass_over_the_data(task, dim):
    config = load_task(task)
    assert needs_fingerprint(config, make_dataset(("CT" if config.ct else "MRI",)), dim) == []


@pytest.mark.parametrize(
    ("changes", "channels", "in_2d", "in_3d"),
    [
        ({}, ("MRI",), [], []),
        ({"spacing_3d": None}, ("MRI",), ["spacing_3d"], ["spacing_3d"]),
        ({"spacing_2d": None}, ("MRI",), [], []),
        ({"patch_size_3d": None}, ("MRI",), [], ["patch_size_3d"]),
        ({"patch_size_2d": None}, ("MRI",), ["patch_size_2d"], []),
        ({}, ("MRI", "CT"), ["ct"], ["ct"]),
        ({"ct": CT}, ("CT",), [], []),
        ({"normalization": "z_score"}, ("CT",), [], []),
        ({"normalization": "ct"}, ("PET",), ["ct"], ["ct"]),
        ({"nonzero_mask": None}, ("MRI",), ["nonzero_mask"], ["nonzero_mask"]),
        ({"nonzero_mask": None, "ct": CT}, ("CT",), [], []),
        ({"nonzero_mask": None, "normalization": "none"}, ("MRI",), [], []),
        (
            NULLS | {"nonzero_mask": None},
            ("CT", "MRI"),
            ["spacing_3d", "patch_size_2d", "ct", "nonzero_mask"],
            ["spacing_3d", "patch_size_3d", "ct", "nonzero_mask"],
        ),
    ],
)
def test_what_a_fingerprint_is_needed_for_is_named(changes, channels, in_2d, in_3d):
    config, dataset = config_of(**changes), make_dataset(channels)
    assert needs_fingerprint(config, dataset, 2) == in_2d
    assert needs_fingerprint(config, dataset, 3) == in_3d


@pytest.mark.parametrize(
    ("changes", "channel", "name"),
    [
        ({"spacing_3d": None}, "MRI", "spacing_3d"),
        ({"patch_size_3d": None}, "MRI", "patch_size_3d"),
        ({}, "CT", "ct"),
        ({"nonzero_mask": None}, "MRI", "nonzero_mask"),
    ],
)
def test_a_missing_number_without_a_fingerprint_is_a_bug_and_names_it(changes, channel, name):
    with pytest.raises(ValueError, match=f"task 91: {name} null"):
        make_plan(config_of(**changes), make_dataset((channel,)), 3)


@pytest.mark.parametrize("dim", [2, 3])
def test_a_plan_from_nulls_equals_the_plan_of_the_planned_config(dim):
    dataset = make_dataset()
    filled = make_plan(config_of(**NULLS, nonzero_mask=None), dataset, dim, THICK)
    planned = make_plan(plan_config(dataset, THICK, "91").config, dataset, dim)
    assert filled.axis_order == planned.axis_order == (2, 0, 1)
    for field in ("patch_size", "spacing", "topology", "normalization", "nonzero_mask"):
        assert getattr(filled, field) == getattr(planned, field), field


def test_stated_numbers_stay_when_others_are_filled_in():
    config = config_of(spacing_3d=None, patch_size_3d=(16, 24, 8))
    plan = make_plan(config, make_dataset(), 3, THICK)
    assert (plan.patch_size, plan.spacing) == ((8, 16, 24), (3.6, 0.62, 0.7))
    assert plan.topology == plan_topology((8, 16, 24), (3.6, 0.62, 0.7))


def test_a_patch_is_planned_for_the_stated_spacing():
    fingerprint = same_cases(100, (64, 64, 64), (1.0, 1.0, 1.0))
    config = config_of(patch_size_3d=None, spacing_3d=(2.0, 1.0, 4.0))
    assert make_plan(config, make_dataset(), 3, fingerprint).patch_size == (16, 32, 64)


def test_a_2d_patch_is_planned_for_the_stated_2d_spacing():
    fingerprint = same_cases(100, (64, 64, 64), (1.0, 1.0, 1.0))
    config = config_of(patch_size_2d=None, spacing_3d=(1.0, 1.0, 1.0), spacing_2d=(2.0, 4.0))
    plan = make_plan(config, make_dataset(), 2, fingerprint)
    assert (plan.patch_size, plan.spacing) == ((32, 16), (2.0, 4.0))


def test_a_null_2d_spacing_is_that_of_3d_in_plane():
    plan = make_plan(config_of(spacing_3d=(1.0, 3.0, 1.5), spacing_2d=None), make_dataset(), 2)
    assert (plan.axis_order, plan.spacing) == ((1, 0, 2), (1.0, 1.5))


def test_stated_features_hold_for_a_planned_patch():
    fingerprint = same_cases(100, (36, 50, 35), (1.0, 1.0, 1.0))
    plan = make_plan(config_of(patch_size_3d=None, features=(8, 16)), make_dataset(), 3, fingerprint)
    assert plan.topology.features == (8, 16, 16, 16)


def test_ct_numbers_come_from_their_own_channel():
    other = ChannelIntensities(mean=1, std=2, low=3, high=4)
    fingerprint = make_fingerprint([make_case()], ("PET", "CT"), [other, FOUND])
    plan = make_plan(config_of(), make_dataset(("PET", "CT")), 3, fingerprint)
    assert plan.normalization == (
        Normalization(name="z_score"),
        Normalization(name="ct", low=-100, high=300, mean=50, std=20),
    )


def test_stated_ct_numbers_win_over_the_fingerprint():
    fingerprint = make_fingerprint([make_case()], ("CT",), [FOUND])
    (normalization,) = make_plan(config_of(ct=CT), make_dataset(("CT",)), 3, fingerprint).normalization
    assert normalization == Normalization(name="ct", **CT.model_dump())


@pytest.mark.parametrize(("stated", "share", "mask"), [(None, 0.5, True), (None, 0.9, False), (False, 0.5, False)])
def test_the_mask_follows_the_fingerprint_unless_the_config_says(stated, share, mask):
    fingerprint = make_fingerprint([make_case(box_share=share)])
    assert make_plan(config_of(nonzero_mask=stated), make_dataset(), 3, fingerprint).nonzero_mask is mask


def test_the_hash_changes_with_what_was_filled_in_and_not_else():
    half, whole = (make_fingerprint([make_case(box_share=share)]) for share in (0.5, 1.0))
    filled = config_of(nonzero_mask=None)
    hashes = [make_plan(filled, make_dataset(), 3, fingerprint).config_hash for fingerprint in (half, whole, whole)]
    assert hashes[0] != hashes[1] == hashes[2]
    stated = config_of()
    hashes = {make_plan(stated, make_dataset(), 3, fingerprint).config_hash for fingerprint in (half, whole, None)}
    assert len(hashes) == 1
