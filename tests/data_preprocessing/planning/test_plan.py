import json

import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.task import CTIntensities, load_task
from data_preprocessing.planning.plan import (
    PLAN_NAME,
    Plan,
    coarsest_first,
    folder_name,
    make_plan,
    needs_fingerprint,
    read_plan,
    write_plan,
)
from data_preprocessing.planning.topology import plan_topology
from data_preprocessing.transforms.normalize import Normalization
from tests.data_preprocessing.samples import make_config, make_dataset, refused

SHIPPED = [f"{number:02d}" for number in range(11)]
CT = CTIntensities(low=-17, high=201, mean=99.4, std=39.36)


@pytest.mark.parametrize(
    ("spacing", "order"),
    [
        ((3, 1, 1), (0, 1, 2)),
        ((1, 3, 1), (1, 0, 2)),
        ((1, 1, 3), (2, 0, 1)),
        ((0.5, 1, 3), (2, 0, 1)),
        ((1, 1, 1), (0, 1, 2)),
    ],
)
def test_the_coarsest_axis_comes_first_and_the_others_keep_their_order(spacing, order):
    assert coarsest_first(spacing) == order


def test_patch_and_spacing_follow_the_axis_order():
    config = make_config(patch_size_3d=(8, 16, 32), spacing_3d=(1.0, 1.5, 2.5))
    plan = make_plan(config, make_dataset(), 3)
    assert (plan.axis_order, plan.patch_size, plan.spacing) == ((2, 0, 1), (32, 8, 16), (2.5, 1.0, 1.5))
    assert plan.topology == plan_topology((32, 8, 16), (2.5, 1.0, 1.5))


def test_a_2d_plan_has_two_axes_of_patch_and_spacing_and_three_of_order():
    plan = make_plan(load_task("05"), make_dataset(("T2", "ADC")), 2)
    assert (plan.dim, plan.axis_order) == (2, (0, 1, 2))
    assert (plan.patch_size, plan.spacing) == ((320, 320), (0.62, 0.62))
    assert plan.topology.strides == ((1, 1), *[(2, 2)] * 5)
    assert plan.topology.features == (32, 64, 128, 256, 512, 512)


def test_the_3d_plan_of_the_prostate_has_its_anisotropic_topology():
    plan = make_plan(load_task("05"), make_dataset(("T2", "ADC")), 3)
    assert plan.topology.strides[1] == (1, 2, 2)
    assert plan.topology.downsampling == [4, 32, 32]


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("task", SHIPPED)
def test_every_shipped_config_yields_a_plan_whose_patch_the_network_can_halve(task, dim):
    config = load_task(task)
    plan = make_plan(config, make_dataset(("CT" if config.ct else "MRI",)), dim)
    assert len(plan.patch_size) == len(plan.spacing) == len(plan.topology.strides[0]) == dim
    rests = [size % factor for size, factor in zip(plan.patch_size, plan.topology.downsampling, strict=True)]
    assert rests == [0] * dim


@pytest.mark.parametrize(("dim", "changes"), [(3, {"patch_size_3d": (16, 18, 16)}), (2, {"patch_size_2d": (18, 16)})])
def test_a_patch_the_network_cannot_halve_is_refused(dim, changes):
    with refused("task 91", f"patch_size_{dim}d.*18.*not a multiple of.*4"):
        make_plan(make_config(**changes), make_dataset(), dim)


def test_classes_and_their_label_numbers_keep_the_order_of_the_data_set():
    plan = make_plan(make_config(), make_dataset(labels={0: "background", 1: "organ", 4: "lesion"}), 3)
    assert (plan.classes, plan.label_values) == (("background", "organ", "lesion"), (0, 1, 4))
    assert plan.foreground == ("organ", "lesion")


@pytest.mark.parametrize("channel", ["CT", "ct", " Ct "])
def test_ct_channels_are_normalised_by_the_statistics_of_the_config(channel):
    plan = make_plan(make_config(ct=CT), make_dataset((channel,)), 3)
    assert plan.normalization == (Normalization(name="ct", low=-17, high=201, mean=99.4, std=39.36),)


@pytest.mark.parametrize("channel", ["MRI", "T2", "PET", "FLAIR", "not CT"])
def test_other_channels_are_normalised_by_z_score(channel):
    plan = make_plan(make_config(ct=CT), make_dataset((channel,)), 3)
    assert plan.normalization == (Normalization(name="z_score"),)


def test_each_channel_has_its_own_normalisation():
    plan = make_plan(make_config(ct=CT), make_dataset(("CT", "PET")), 3)
    assert [how.name for how in plan.normalization] == ["ct", "z_score"]


@pytest.mark.parametrize("name", ["z_score", "rescale_0_1", "rgb", "none"])
def test_a_normalisation_named_in_the_config_holds_for_every_channel(name):
    plan = make_plan(make_config(normalization=name), make_dataset(("CT", "MRI")), 3)
    assert plan.normalization == (Normalization(name=name),) * 2


def test_ct_without_statistics_needs_the_fingerprint():
    assert needs_fingerprint(make_config(), make_dataset(("CT",)), 3) == ["ct"]
    with pytest.raises(ValueError, match="ct null in the config, and no fingerprint"):
        make_plan(make_config(), make_dataset(("CT",)), 3)


@pytest.mark.parametrize(("task", "dim", "name"), [("04", 3, "task04_3d"), ("10", 2, "task10_2d")])
def test_the_folder_is_named_after_task_and_dimension(task, dim, name):
    assert folder_name(task, dim) == name
    assert make_plan(make_config(task=task), make_dataset(), dim).name == name


def test_the_config_hash_is_that_of_the_content():
    first, same = (make_plan(make_config(), make_dataset(), 3) for _ in range(2))
    other = make_plan(make_config(spacing_3d=(1.0, 1.0, 1.1)), make_dataset(), 3)
    assert first.config_hash == same.config_hash
    assert first.config_hash != other.config_hash


def test_shards_made_before_mirroring_could_be_chosen_still_fit():
    plans = [make_plan(make_config(training={"mirror_axes": axes}), make_dataset(), 3) for axes in ("zyx", "none")]
    older = make_plan(make_config(), make_dataset(), 3)
    assert [plan.config_hash == older.config_hash for plan in plans] == [True, False]


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("channel", ["CT", "MRI"])
def test_a_plan_reads_back_as_it_was_written(tmp_path, dim, channel):
    plan = make_plan(make_config(ct=CT, spacing_3d=(1.0, 1 / 3, 0.1)), make_dataset((channel,)), dim)
    write_plan(tmp_path, plan)
    assert read_plan(tmp_path, "mend it") == plan


def test_a_missing_plan_is_refused_ending_in_the_remedy(tmp_path):
    with refused(tmp_path / PLAN_NAME, "no such file; run preprocess.py$"):
        read_plan(tmp_path, "run preprocess.py")


@pytest.mark.parametrize(
    ("field", "value"), [("format", 2), ("dim", 4), ("patch_size", "large"), ("unknown", 1), ("axis_order", [0, 1])]
)
def test_a_plan_that_does_not_hold_together_is_refused_naming_the_field(tmp_path, field, value):
    content = json.loads(make_plan(make_config(), make_dataset(), 3).model_dump_json())
    (tmp_path / PLAN_NAME).write_text(json.dumps(content | {field: value}))
    with refused(tmp_path / PLAN_NAME, f"{field}.*; mend it$"):
        read_plan(tmp_path, "mend it")


def test_a_plan_lacking_a_field_is_refused_naming_it(tmp_path):
    content = json.loads(make_plan(make_config(), make_dataset(), 3).model_dump_json())
    del content["topology"]
    (tmp_path / PLAN_NAME).write_text(json.dumps(content))
    with pytest.raises(UserError, match="topology"):
        read_plan(tmp_path, "mend it")


def test_a_plan_is_frozen():
    plan: Plan = make_plan(make_config(), make_dataset(), 3)
    with pytest.raises(ValueError, match="frozen"):
        plan.task = "92"
