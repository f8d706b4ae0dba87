import pytest

from data_preprocessing.planning.topology import plan_topology


def test_hippocampus_has_four_stages():
    # 40 56 40 -> 20 28 20 -> 10 14 10 -> 5 7 5: all under 8, so three halvings.
    topology = plan_topology((40, 56, 40), (1, 1, 1))
    assert topology.strides == ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))
    assert topology.kernels == ((3, 3, 3),) * 4
    assert topology.features == (32, 64, 128, 256)
    assert topology.downsampling == [8, 8, 8]


def test_prostate_waits_for_the_thick_axis():
    # Patch and spacing as the rule halves them; the ratio of the first axis to the finest decides.
    #   20 320 256   3.6 0.62 0.62    5.8: stride 1 2 2, kernel 1 3 3
    #   20 160 128   3.6 1.24 1.24    2.9: stride 1 2 2, kernel 1 3 3
    #   20  80  64   3.6 2.48 2.48    1.5: stride 2 2 2, kernel 3 3 3
    #   10  40  32   7.2 4.96 4.96    1.5: stride 2 2 2, kernel 3 3 3
    #    5  20  16  14.4 9.92 9.92    5 is under 8: stride 1 2 2, kernel 3 3 3
    #    5  10   8  the fifth level: bottleneck, kernel 3 3 3
    topology = plan_topology((20, 320, 256), (3.6, 0.62, 0.62))
    assert topology.strides == ((1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2))
    assert topology.kernels == ((1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3))
    assert topology.features == (32, 64, 128, 256, 320, 320)
    assert topology.downsampling == [4, 32, 32]


@pytest.mark.parametrize(("coarse", "stride", "kernel"), [(2.0, (2, 2, 2), (3, 3, 3)), (2.01, (1, 2, 2), (1, 3, 3))])
def test_a_ratio_of_exactly_two_is_near_enough(coarse, stride, kernel):
    topology = plan_topology((8, 8, 8), (coarse, 1, 1))
    assert (topology.strides[1], topology.kernels[0]) == (stride, kernel)


@pytest.mark.parametrize(("size", "stride"), [(8, 2), (7, 1)])
def test_an_axis_is_halved_from_eight_voxels_on(size, stride):
    assert plan_topology((16, size), (1, 1)).strides[1] == (2, stride)


def test_a_short_axis_keeps_its_kernel_of_three():
    assert plan_topology((4, 16, 16), (1, 1, 1)).kernels[0] == (3, 3, 3)


def test_the_last_kernel_is_three_even_on_an_axis_that_never_caught_up():
    topology = plan_topology((8, 16, 16), (50, 1, 1))
    assert topology.kernels == ((1, 3, 3), (1, 3, 3), (3, 3, 3))


@pytest.mark.parametrize(("patch", "spacing"), [((512, 512), (1, 1)), ((256, 256, 256), (1, 1, 1))])
def test_there_are_at_most_five_downsamplings(patch, spacing):
    topology = plan_topology(patch, spacing)
    assert len(topology.strides) == 6
    assert topology.downsampling == [32] * len(patch)


@pytest.mark.parametrize(
    ("patch", "features"),
    [((512, 512), (32, 64, 128, 256, 512, 512)), ((128, 128, 128), (32, 64, 128, 256, 320, 320))],
)
def test_features_double_up_to_512_in_2d_and_320_in_3d(patch, features):
    assert plan_topology(patch, (1,) * len(patch)).features == features


@pytest.mark.parametrize(
    ("given", "features"),
    [([4, 8, 16, 32], (4, 8, 16, 32)), ([4, 8], (4, 8, 8, 8)), ([4, 8, 16, 32, 64, 128], (4, 8, 16, 32))],
)
def test_given_features_are_cut_or_repeated_to_the_stages(given, features):
    assert plan_topology((40, 56, 40), (1, 1, 1), given).features == features


def test_a_patch_too_small_to_halve_has_one_stage():
    topology = plan_topology((4, 6, 7), (1, 1, 1))
    assert (topology.strides, topology.kernels, topology.features) == (((1, 1, 1),), ((3, 3, 3),), (32,))


@pytest.mark.parametrize("patch", [(40, 56, 40), (20, 320, 256), (7, 9, 200)])
def test_strides_kernels_and_features_have_one_entry_a_stage(patch):
    topology = plan_topology(patch, (2.5, 1, 1))
    assert len(topology.strides) == len(topology.kernels) == len(topology.features)
    assert topology.strides[0] == (1, 1, 1)
