import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.task import load_task
from data_preprocessing.planning.network_planner import (
    feature_values,
    fit_topology,
    plan_for_dataset,
    plan_network,
    start_patch,
)
from data_preprocessing.planning.planner_presets import PLAIN, REFERENCE_BATCH
from tests.data_preprocessing.fingerprints import same_cases
from tests.data_preprocessing.samples import refused

MANY = 1e15  # voxels of a data set so large that it never limits the batch

# Plans that nnU-Net v2 made by its default ExperimentPlanner, as people published them (on github.com): spacing, median
# shape, classes -> patch, batch. The classes of the vessels and arteries are not known; a few more change nothing.
PUBLISHED = {
    # Task06 Lung: Usamakhan843/3D-Lung-Tumor-Segmentation-with-nnU-Net, nnUNetPlans.json
    "lung": ((1.24498, 0.78515625, 0.78515625), (252, 512, 512), 2, (80, 192, 160), 2),
    "lung, low resolution": ((2.38551, 1.5044406, 1.5044406), (132, 267, 267), 2, (80, 192, 160), 2),
    "lung 2D": ((0.78515625, 0.78515625), (512, 512), 2, (512, 512), 12),
    # BraTS 2021: katieliuu/cs231n, nnUNetPlans.json
    "brain": ((1, 1, 1), (140, 171, 137), 4, (128, 128, 128), 2),
    "brain 2D": ((1, 1), (171, 137), 4, (192, 160), 105),
    # KiTS 2023: MIC-DKFZ/nnUNet, issue 2227
    "kidney, low resolution": ((2.3565655, 1.8410668, 1.8410668), (177, 217, 217), 4, (128, 128, 128), 2),
    "kidney 2D": ((0.78125, 0.78125), (512, 512), 4, (512, 512), 12),
    # Vessels: MIC-DKFZ/nnUNet, issue 1838
    "vessels": ((1, 0.787109, 0.787109), (388, 512, 512), 2, (112, 160, 128), 2),
    # Arteries: PengchengShi1220/NexToU, nnUNetPlans.json (its 2D plan is by an older rule)
    "arteries": ((0.6, 0.296875, 0.296875), (186, 575.5, 480), 2, (64, 192, 160), 2),
    "arteries, low resolution": ((1.0521025, 0.5361893, 0.5361893), (106, 319, 266), 2, (64, 224, 160), 2),
    # Photographs of the retina: MIC-DKFZ/nnUNet, issue 2251
    "retina 2D": ((1, 1), (2848, 4288), 2, (1024, 1536), 2),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_patch_and_batch_equal_the_published_plan(name):
    spacing, shape, classes, patch, batch = PUBLISHED[name]
    network = plan_network(spacing, shape, MANY, classes)
    assert (network.patch_size, network.batch_size) == (patch, batch)


@pytest.mark.parametrize(
    ("task", "spacing", "shape"),
    [
        # Median shape of Task03 Liver: nnU-Net's issue 856, where version 1 planned the same patch.
        ("03", (1, 0.7676, 0.7676), (482, 512, 512)),
        ("05", (3.6, 0.62, 0.62), (20, 320, 320)),
        ("06", (1.24, 0.79, 0.79), (252, 512, 512)),
    ],
)
def test_liver_prostate_and_lung_get_the_patches_of_their_fixed_configs(task, spacing, shape):
    config = load_task(task)
    assert plan_network(spacing, shape, MANY, 3).patch_size == config.patch_size_3d
    assert plan_network(spacing[1:], shape[1:], MANY, 3).patch_size == config.patch_size_2d


def test_the_topology_of_the_lung_equals_the_published_one():
    spacing, shape, classes, _, _ = PUBLISHED["lung"]
    topology = plan_network(spacing, shape, MANY, classes).topology
    assert topology.strides == ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2))
    assert topology.kernels == ((3, 3, 3),) * 6
    assert topology.features == (32, 64, 128, 256, 320, 320)


def test_the_topology_of_the_arteries_has_a_first_stage_in_plane_as_published():
    spacing, shape, classes, _, _ = PUBLISHED["arteries"]
    topology = plan_network(spacing, shape, MANY, classes).topology
    assert topology.strides == ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2))
    assert topology.kernels == ((1, 3, 3), *[(3, 3, 3)] * 5)


def test_a_2d_network_has_as_many_stages_as_published_and_at_most_512_features():
    spacing, shape, classes, _, _ = PUBLISHED["lung 2D"]
    topology = plan_network(spacing, shape, MANY, classes).topology
    assert topology.strides == ((1, 1), *[(2, 2)] * 7)
    assert topology.features == (32, 64, 128, 256, 512, 512, 512, 512)


@pytest.mark.parametrize(("cases", "batch_3d", "batch_2d"), [(260, 9, 366), (200, 7, 281)])
def test_hippocampus_like_cases_get_the_batches_that_nnunet_plans(cases, batch_3d, batch_2d):
    # nnU-Net v2 itself, run on Task04 with 260 and with 200 cases.
    fingerprint = same_cases(cases, (36, 50, 35), (1.0, 1.0, 1.0))
    volumetric, planar = (plan_for_dataset(fingerprint, 3, dim, (0, 1, 2), (1.0, 1.0, 1.0)) for dim in (3, 2))
    assert (volumetric.patch_size, volumetric.batch_size) == ((40, 56, 40), batch_3d)
    assert (planar.patch_size, planar.batch_size) == ((56, 40), batch_2d)
    assert volumetric.topology.features == planar.topology.features == (32, 64, 128, 256)


def test_the_start_patch_has_the_shape_of_a_cube_in_millimetres():
    # 256^3 voxels of 4 x 1 x 1 mm: 101.6 x 406.4 x 406.4
    assert start_patch((4.0, 1.0, 1.0), (1000, 1000, 1000)) == (102, 406, 406)


def test_the_start_patch_is_no_larger_than_the_median_case():
    assert start_patch((4.0, 1.0, 1.0), (20, 500, 300.5)) == (20, 406, 300.5)
    assert start_patch((1.0, 1.0), (3000, 900)) == (2048, 900)


@pytest.mark.parametrize(
    ("patch", "padded", "downsampling"),
    [
        ((7, 7), (7, 7), [1, 1]),
        ((8, 8), (8, 8), [2, 2]),
        ((15, 15), (16, 16), [4, 4]),
        ((33, 50), (40, 56), [8, 8]),
        ((36.5, 8), (40, 8), [4, 2]),
    ],
)
def test_a_patch_is_padded_to_what_the_network_divides_by(patch, padded, downsampling):
    found, topology = fit_topology(patch, (1, 1))
    assert (found, topology.downsampling) == (padded, downsampling)


@pytest.mark.parametrize(("size", "stages"), [(11, 1), (12, 2)])
def test_an_axis_left_alone_is_halved_from_twelve_voxels_on(size, stages):
    assert len(fit_topology((7, size), (1, 1))[1].strides) == stages


@pytest.mark.parametrize(("coarse", "stride", "kernel"), [(1.99, (2, 2), (3, 3)), (2.0, (1, 2), (1, 3))])
def test_an_axis_twice_as_coarse_waits_with_stride_and_kernel(coarse, stride, kernel):
    topology = fit_topology((64, 64), (coarse, 1))[1]
    assert (topology.strides[1], topology.kernels[0]) == (stride, kernel)


def test_a_short_axis_does_not_make_the_others_wait():
    # The finest axis is too short to be halved: what counts is the finest of those that can be.
    assert fit_topology((4, 64, 64), (1, 3, 3))[1].strides[1] == (1, 2, 2)


def test_a_kernel_of_three_stays_three_when_the_others_become_coarser():
    # The second axis is too short to be halved and stays at 1.5 mm, while the first goes from 1 to 16 mm.
    kernels = fit_topology((64, 7), (1, 1.5))[1].kernels
    assert kernels[:-1] == ((3, 3),) * (len(kernels) - 1)


@pytest.mark.parametrize("spacing", [(5, 1, 1), (1, 1, 1), (1, 3, 1)])
def test_the_last_stage_always_has_kernels_of_three(spacing):
    assert fit_topology((16, 64, 64), spacing)[1].kernels[-1] == (3, 3, 3)


@pytest.mark.parametrize("encoder", ["plain", "residual"])
@pytest.mark.parametrize(
    ("patch", "spacing", "classes"), [((16, 16, 24), (1, 1, 1), 3), ((8, 32, 32), (3, 1, 1), 5), ((32, 64), (1, 1), 2)]
)
def test_the_memory_measure_counts_what_the_convolutions_of_the_real_network_put_out(patch, spacing, classes, encoder):
    from nnunet_tf.networks.build import build_network
    from nnunet_tf.networks.settings import NetworkSettings

    padded, topology = fit_topology(patch, spacing)
    layers = build_network(topology, padded, 1, classes, NetworkSettings(encoder=encoder)).layers
    outputs = [layer.output.shape[1:] for layer in layers if "Conv" in type(layer).__name__]
    assert feature_values(padded, topology, classes, encoder) == sum(math.prod(shape) for shape in outputs)


@pytest.mark.parametrize("name", ["lung", "brain", "arteries", "retina 2D"])
def test_more_memory_gives_larger_patches_until_all_is_seen_and_then_larger_batches(name):
    spacing, shape, classes, _, _ = PUBLISHED[name]
    networks = [plan_network(spacing, shape, MANY, classes, memory) for memory in (4, 8, 16, 32, 640)]
    voxels = [math.prod(network.patch_size) for network in networks]
    batch_voxels = [size * network.batch_size for size, network in zip(voxels, networks, strict=True)]
    assert voxels == sorted(voxels)
    assert batch_voxels == sorted(set(batch_voxels))
    assert networks[-1].patch_size == networks[-1].start_patch
    assert networks[-1].batch_size > 2


def test_a_batch_shows_at_most_a_twentieth_of_the_data_set():
    network = plan_network((1, 1, 1), (32, 32, 32), 40 * 32**3, 2)
    assert (network.patch_size, network.batch_size) == ((32, 32, 32), 2)
    network = plan_network((1, 1, 1), (32, 32, 32), 120 * 32**3, 2)
    assert (network.batch_size, network.dataset_batch) == (6, 6)
    assert network.memory_batch > 6


def test_a_batch_has_two_patches_however_small_the_data_set():
    assert plan_network((1, 1, 1), (32, 32, 32), 32**3, 2).batch_size == 2


def test_a_budget_too_small_for_any_patch_is_refused():
    with refused("--gpu-memory 1e-09", "too little for a patch of"):
        plan_network((1, 1, 1), (64, 64, 64), MANY, 2, gpu_memory_gb=1e-9)


def test_memory_for_no_patch_that_can_be_halved_is_what_is_named_not_the_cases():
    with refused("--gpu-memory 0.001", "too little for a patch of 10 x 8; give more"):
        plan_network((1, 1), (49, 35), MANY, 3, gpu_memory_gb=0.001, encoder="residual")


def test_cases_too_small_for_any_downsampling_are_refused():
    with refused("a patch of 7 x 7 x 7 voxels", "cannot be halved"):
        plan_network((1, 1, 1), (7, 7, 7), MANY, 2)


def test_a_3d_network_of_single_slices_is_refused():
    fingerprint = same_cases(5, (1, 64, 64), (5.0, 1.0, 1.0))
    with refused("Task91_Tiny", "single slices.*use --dim 2$"):
        plan_for_dataset(fingerprint, 2, 3, (0, 1, 2), (5.0, 1.0, 1.0))
    assert plan_for_dataset(fingerprint, 2, 2, (0, 1, 2), (5.0, 1.0, 1.0)).patch_size == (64, 64)


millimetres = st.floats(0.1, 10)
sizes = st.integers(12, 800)


@settings(max_examples=100, deadline=None)
@given(
    axes=st.lists(st.tuples(millimetres, sizes), min_size=2, max_size=3),
    classes=st.integers(2, 30),
    memory=st.floats(1, 80),
    cases=st.integers(1, 2000),
)
def test_any_plan_divides_evenly_fits_the_memory_and_has_a_batch_of_two(axes, classes, memory, cases):
    spacing, shape = zip(*axes, strict=True)
    dim, voxels = len(axes), math.prod(shape) * cases
    try:
        network = plan_network(spacing, shape, voxels, classes, memory)
    except UserError:  # little memory and odd shapes: a patch that must shrink to what cannot be halved
        assume(memory >= 8)
        raise
    factors = network.topology.downsampling
    assert [size % factor for size, factor in zip(network.patch_size, factors, strict=True)] == [0] * dim
    assert all(patch < size + factor for patch, size, factor in zip(network.patch_size, shape, factors, strict=True))
    batch = network.batch_size
    assert batch >= 2
    needed = feature_values(network.patch_size, network.topology, classes) * (batch - 0.5) / REFERENCE_BATCH[dim]
    assert needed <= PLAIN.values[dim] * memory / 8
    assert batch == 2 or (batch - 0.5) * math.prod(network.patch_size) <= 0.05 * voxels
