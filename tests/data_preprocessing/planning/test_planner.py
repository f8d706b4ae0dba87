from dataclasses import replace

import pytest

from data_preprocessing.common.task import CTIntensities
from data_preprocessing.dataset.dataset import load_dataset
from data_preprocessing.planning.fingerprint import ChannelIntensities, collect
from data_preprocessing.planning.plan import make_plan
from data_preprocessing.planning.planner import plan_config, task_number
from tests.data_preprocessing.fingerprints import (
    SHARED_DATA,
    make_case,
    make_fingerprint,
    needs_hippocampus,
    same_cases,
)
from tests.data_preprocessing.samples import make_dataset, refused

LUNG = ((252, 512, 512), (1.244979977607727, 0.78515625, 0.78515625))
PROSTATE = ((20, 320, 320), (3.6, 0.62, 0.62))


def plan_of(fingerprint, gpu_memory_gb=8.0):
    return plan_config(make_dataset(fingerprint.channels), fingerprint, "91", gpu_memory_gb)


@needs_hippocampus
def test_the_hippocampus_is_planned_as_nnunet_plans_it():
    # nnU-Net v2 itself gives these numbers for the 200 labelled cases.
    dataset = load_dataset(SHARED_DATA, "Task04_Hippocampus")
    planned = plan_config(dataset, collect(dataset), "11").config
    assert (planned.patch_size_3d, planned.spacing_3d) == ((40, 56, 40), (1, 1, 1))
    assert planned.topology_3d.strides == ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))
    assert planned.topology_3d.kernels == ((3, 3, 3),) * 4
    assert planned.topology_3d.features == (32, 64, 128, 256)
    assert (planned.patch_size_2d, planned.spacing_2d) == ((56, 40), (1, 1))
    assert planned.topology_2d.features == (32, 64, 128, 256)
    assert (planned.training.batch_size_3d, planned.training.batch_size_2d) == (7, 281)
    assert (planned.ct, planned.nonzero_mask) == (None, False)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_config_states_patch_and_topology_in_array_order(axis):
    shape, spacing = [320, 320], [0.62, 0.62]
    shape.insert(axis, 20)
    spacing.insert(axis, 3.6)
    config = plan_of(same_cases(40, shape, spacing)).config
    in_plane = [other for other in range(3) if other != axis]
    assert config.spacing_3d == tuple(spacing)
    assert config.patch_size_3d[axis] == 20
    assert [config.patch_size_3d[other] for other in in_plane] == [320, 256]
    assert config.topology_3d.strides[1][axis] == config.topology_3d.kernels[0][axis] == 1
    assert [config.topology_3d.strides[1][other] for other in in_plane] == [2, 2]
    assert (config.patch_size_2d, config.spacing_2d) == ((320, 320), (0.62, 0.62))


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_plan_of_a_planned_config_is_the_planned_network(axis, dim):
    shape, spacing = [300, 200], [0.62, 0.7]
    shape.insert(axis, 24)
    spacing.insert(axis, 3.6)
    fingerprint = same_cases(40, shape, spacing)
    planned = plan_of(fingerprint)
    plan = make_plan(planned.config, make_dataset(), dim)
    network = planned.network_2d if dim == 2 else planned.network_3d
    assert (plan.patch_size, plan.topology) == (network.patch_size, network.topology)
    assert plan.axis_order == planned.axis_order
    assert plan.spacing == tuple(spacing[place] for place in plan.axis_order)[-dim:]
    assert plan.training.batch_size(dim) == network.batch_size


def test_ct_gets_its_numbers_and_no_mask_from_the_fingerprint():
    shape, spacing = LUNG
    found = ChannelIntensities(mean=99.4, std=39.36, low=-17, high=201)
    cases = [make_case("a", shape, spacing, box_share=0.1)]
    config = plan_of(make_fingerprint(cases, ("CT",), [found])).config
    assert config.ct == CTIntensities(low=-17, high=201, mean=99.4, std=39.36)
    assert config.nonzero_mask is False


def test_several_ct_channels_keep_their_own_numbers():
    found = [ChannelIntensities(mean=mean, std=1, low=0, high=9) for mean in (1, 2)]
    fingerprint = make_fingerprint([make_case("a", (64, 64, 64))], ("CT", "CT"), found)
    config = plan_of(fingerprint).config
    assert config.ct is None
    plan = make_plan(config, make_dataset(("CT", "CT")), 3, fingerprint)
    assert [how.mean for how in plan.normalization] == [1, 2]


@pytest.mark.parametrize(("share", "mask"), [(0.5, True), (0.9, False)])
def test_scans_that_are_mostly_zero_are_normalised_within_their_mask(share, mask):
    fingerprint = make_fingerprint([make_case("a", (64, 64, 64), box_share=share)])
    assert plan_of(fingerprint).config.nonzero_mask is mask


def test_patches_are_not_mirrored_from_left_to_right_where_classes_are_told_apart_by_it():
    fingerprint = same_cases(40, (64, 64, 64), (1, 1, 1))
    plain, sided = ({0: "background", 1: "lung_left", 2: other} for other in ("heart", "lung_right"))
    axes = [plan_config(make_dataset(labels=labels), fingerprint, "91").config.training for labels in (plain, sided)]
    assert [training.mirror_axes for training in axes] == ["zyx", "zy"]


def test_patch_and_batch_grow_with_the_memory():
    small, medium, large = (plan_of(same_cases(400, *LUNG), memory).config for memory in (4, 8, 400))
    volumes = [
        config.patch_size_3d[0] * config.patch_size_3d[1] * config.patch_size_3d[2] for config in (small, medium)
    ]
    assert volumes[0] < volumes[1]
    assert large.training.batch_size_3d > medium.training.batch_size_3d == 2
    assert large.training.batch_size_2d > medium.training.batch_size_2d > small.training.batch_size_2d


def test_single_slices_get_a_2d_network_only():
    planned = plan_of(same_cases(30, (1, 512, 512), (0.5, 0.8, 0.8)))
    assert planned.network_3d is None
    assert (planned.config.patch_size_3d, planned.config.topology_3d) == (None, None)
    plan = make_plan(planned.config, make_dataset(), 2)
    assert (plan.axis_order, plan.patch_size, plan.spacing) == ((0, 1, 2), (512, 512), (0.8, 0.8))


@pytest.mark.parametrize(("shape_and_spacing", "share"), [(LUNG, 80 * 192 * 160 / (252 * 512 * 512)), (PROSTATE, None)])
def test_a_low_resolution_stage_is_asked_for_where_the_patch_holds_under_a_quarter(shape_and_spacing, share):
    assert plan_of(same_cases(5, *shape_and_spacing)).low_resolution_share == share


def test_exactly_a_quarter_is_enough():
    planned = plan_of(same_cases(5, (64, 64, 64), (1, 1, 1)))
    network = replace(planned.network_3d, patch_size=(16, 64, 64))
    assert replace(planned, network_3d=network).low_resolution_share is None
    network = replace(planned.network_3d, patch_size=(15, 64, 64))
    assert replace(planned, network_3d=network).low_resolution_share == 15 / 64


def test_too_little_memory_is_refused():
    with refused("--gpu-memory", "give more"):
        plan_of(same_cases(5, *LUNG), gpu_memory_gb=1e-6)


@pytest.mark.parametrize(
    ("name", "number"), [("Task11_Mine", "11"), ("Task04_X", "04"), ("Dataset004_X", "04"), ("Dataset120_X", "120")]
)
def test_the_number_of_a_task_is_in_the_name_of_its_folder(name, number):
    assert task_number(name) == number


@pytest.mark.parametrize("name", ["Mine", "Task_Mine", "Task1234_Mine", "MyTask11"])
def test_a_folder_without_a_number_is_refused(name):
    with refused(name, "no task number"):
        task_number(name)
