import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.transform import resize

from data_preprocessing.plan import Plan, make_plan
from data_preprocessing.prepare import Placement
from data_preprocessing.task import StatedRegion
from nnunet_tf.inference.restore import classes_on_grid, regions_on_grid, restore
from tests.data_preprocessing.samples import make_config, make_dataset

NESTED = {
    "whole tumor": StatedRegion(labels=(1, 2, 3), value=1),
    "core": StatedRegion(labels=(2, 3), value=2),
    "enhancing": StatedRegion(labels=(3,), value=4),
}


def smooth_logits(shape, classes):
    random = np.random.default_rng(0)
    return np.stack([gaussian_filter(random.normal(size=shape), 1.5) for _ in range(classes)], axis=-1).astype(
        np.float32
    )


@pytest.mark.parametrize("shape", [(17, 20, 9), (30, 11, 40), (10, 14, 12)])
def test_the_class_is_the_likeliest_of_the_resized_logits(shape):
    logits = smooth_logits((10, 14, 12), 4)
    channels = [
        resize(logits[..., index], shape, order=1, mode="edge", anti_aliasing=False, clip=False) for index in range(4)
    ]
    resized = np.stack(channels, axis=-1)
    second, first = np.sort(resized, axis=-1)[..., -2:].transpose(3, 0, 1, 2)
    clear = first - second > 1e-5  # at a tie either class is right
    ours = classes_on_grid(logits, shape, (1, 1, 1))
    np.testing.assert_array_equal(ours[clear], resized.argmax(axis=-1)[clear])
    assert clear.mean() > 0.99


def test_nearest_along_one_axis_repeats_its_slices():
    logits = smooth_logits((5, 14, 12), 3)
    ours = classes_on_grid(logits, (15, 14, 12), (0, 1, 1))
    np.testing.assert_array_equal(ours, np.repeat(logits.argmax(axis=-1), 3, axis=0))


@pytest.mark.parametrize("slab_voxels", [1, 700, 10**9])
def test_slabs_do_not_change_the_result(slab_voxels):
    logits = smooth_logits((10, 14, 12), 4)
    whole = classes_on_grid(logits, (23, 20, 9), (1, 1, 1))
    np.testing.assert_array_equal(classes_on_grid(logits, (23, 20, 9), (1, 1, 1), slab_voxels), whole)


def test_many_classes_need_uint16():
    logits = np.zeros((1, 1, 2, 300), np.float32)
    logits[..., 1, 299] = 1
    result = classes_on_grid(logits, (1, 1, 2), (1, 1, 1))
    assert result.dtype == np.uint16
    assert result.ravel().tolist() == [0, 299]


def nested_plan(regions=NESTED, spacing=(1.0, 1.0, 1.0)) -> Plan:
    labels = {0: "background", 1: "edema", 2: "necrosis", 3: "enhancing"}
    return make_plan(make_config(regions=regions, spacing_3d=spacing), make_dataset(labels=labels), 3)


def balls(shape, radii, spacing=(1.0, 1.0, 1.0)):
    """Logits `(D, H, W, radii)` of concentric balls in mm, half-pixel centres: over 0 inside."""
    axes = [(np.arange(size) + 0.5 - size / 2) * mm for size, mm in zip(shape, spacing, strict=True)]
    distance = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))
    return np.stack([radius - distance for radius in radii], axis=-1).astype(np.float32)


def painted(distance_logits, values):
    label = np.zeros(distance_logits.shape[:3], np.uint8)
    for index, value in enumerate(values):
        label[distance_logits[..., index] > 0] = value
    return label


def test_nested_regions_come_back_as_a_label_map_on_the_grid_of_the_scan():
    plan = nested_plan(spacing=(1.0, 1.0, 2.0))  # network axes are (x, z, y)
    assert plan.axis_order == (2, 0, 1)
    placement = Placement(
        shape=(40, 28, 30),
        spacing=(1.0, 1.0, 1.0),
        box=((8, 32), (1, 25), (4, 28)),
        cropped_shape=(24, 24, 24),
        prepared_shape=(12, 24, 24),
        prepared_spacing=(2.0, 1.0, 1.0),
    )
    logits = balls(placement.prepared_shape, (9.3, 6.3, 3.3), placement.prepared_spacing)
    resized = np.stack(
        [
            resize(logits[..., index], (24, 24, 24), order=1, mode="edge", anti_aliasing=False, clip=False)
            for index in range(3)
        ],
        axis=-1,
    )
    assert np.abs(resized).min() > 1e-5  # nowhere so close to 0 that rounding decides
    network = np.zeros(placement.shape, np.uint8)
    network[8:32, 1:25, 4:28] = painted(resized, (1, 2, 4))
    restored = restore(logits, placement, plan)
    assert restored.dtype == np.uint8
    assert set(np.unique(restored)) == {0, 1, 2, 4}
    np.testing.assert_array_equal(restored, network.transpose(1, 2, 0))  # (z, y, x)


def test_at_the_scans_own_spacing_nested_regions_are_exactly_the_painted_ones():
    logits = balls((12, 13, 14), (5.3, 3.3, 1.8))
    placement = Placement(
        shape=(12, 13, 14),
        spacing=(1.0, 1.0, 1.0),
        box=((0, 12), (0, 13), (0, 14)),
        cropped_shape=(12, 13, 14),
        prepared_shape=(12, 13, 14),
        prepared_spacing=(1.0, 1.0, 1.0),
    )
    np.testing.assert_array_equal(restore(logits, placement, nested_plan()), painted(logits, (1, 2, 4)))


def test_a_later_region_overwrites_an_earlier_one_and_none_leaves_the_background():
    logits = np.array([[-1, -1, -1], [1, -1, -1], [1, 2, -1], [1, 2, 3], [9, -1, 0.1], [0, 0, 0]], np.float32)
    ours = regions_on_grid(logits.reshape(1, 1, 6, 3), (1, 1, 6), (1, 1, 1), nested_plan().regions)
    assert ours.ravel().tolist() == [0, 1, 2, 4, 4, 0]
    backwards = nested_plan(dict(reversed(NESTED.items()))).regions
    ours = regions_on_grid(logits[:, ::-1].reshape(1, 1, 6, 3), (1, 1, 6), (1, 1, 1), backwards)
    assert ours.ravel().tolist() == [0, 1, 1, 1, 1, 0]


def test_large_values_of_regions_need_a_larger_type():
    plan = nested_plan({"core": StatedRegion(labels=(2, 3), value=300)})
    ours = regions_on_grid(np.array([[[[-1.0], [1.0]]]], np.float32), (1, 1, 2), (1, 1, 1), plan.regions)
    assert (ours.dtype, ours.ravel().tolist()) == (np.uint16, [0, 300])
