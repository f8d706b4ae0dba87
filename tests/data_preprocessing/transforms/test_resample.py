import numpy as np
import pytest
from scipy import ndimage
from skimage.transform import resize

from data_preprocessing.transforms.resample import (
    CUBIC,
    LINEAR,
    NEAREST,
    PlaneResampler,
    interpolation_orders,
    likeliest_class,
    resample,
    resample_image,
    resample_label,
    resampled_shape,
)

SIZES = [
    ((5, 6, 7), (9, 11, 13)),
    ((9, 11, 13), (5, 6, 7)),
    ((8, 8, 8), (4, 16, 8)),
    ((12, 5, 9), (7, 5, 20)),
    ((1, 6, 7), (4, 3, 9)),
    ((6, 7, 1), (1, 3, 5)),
    ((2, 3, 4), (31, 2, 3)),
    ((25, 33, 3), (13, 50, 3)),
]
ISOTROPIC = (1.0, 1.0, 1.0)
THICK = (4.0, 1.0, 1.0)


def oracle(volume, shape, order):
    """The reference."""
    volume = np.asarray(volume, np.float64)
    return resize(volume, shape, order=order, mode="edge", anti_aliasing=False, clip=False, preserve_range=True)


def separate_z_oracle(volume, shape, order):
    """In plane with `order`, slice by slice; then through plane (the first axis) by nearest neighbour."""
    slices = np.stack([oracle(plane, shape[1:], order) for plane in np.asarray(volume, np.float64)])
    return oracle(slices, shape, NEAREST)


def ball(shape=(32, 34, 30)):
    z, y, x = np.indices(shape).astype(float)
    return ((((z - 15.3) / 11) ** 2 + ((y - 16) / 12) ** 2 + ((x - 14.2) / 10) ** 2) < 1).astype(np.uint8)


def blocks(shape, values, seed=0):
    """Random labels in lumps of a few voxels."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 1.2)
    ranks = noise.reshape(-1).argsort().argsort().reshape(shape)
    return np.asarray(values, np.uint8)[ranks * len(values) // noise.size]


@pytest.mark.parametrize("order", [NEAREST, LINEAR, CUBIC])
@pytest.mark.parametrize(("source", "target"), SIZES)
def test_resampling_is_that_of_skimage_up_to_the_border(source, target, order):
    volume = np.random.default_rng(0).random(source)
    resampled = resample(volume, target, (order,) * 3)
    assert resampled.dtype == np.float32
    np.testing.assert_allclose(resampled, oracle(volume, target, order), atol=1e-5, rtol=0)


@pytest.mark.parametrize("order", [NEAREST, LINEAR, CUBIC])
def test_a_constant_stays_constant(order):
    resampled = resample(np.full((5, 1, 9), 7.0), (8, 3, 4), (order,) * 3)
    np.testing.assert_allclose(resampled, 7, atol=1e-5)


def test_each_axis_takes_its_own_order():
    volume = np.random.default_rng(0).random((5, 8, 9))
    expected = separate_z_oracle(volume, (9, 12, 7), CUBIC)
    np.testing.assert_allclose(resample(volume, (9, 12, 7), (NEAREST, CUBIC, CUBIC)), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "spacing", "target", "expected"),
    [
        ((10, 20, 30), (1, 1, 1), (1.5, 1.5, 1.5), (7, 13, 20)),
        ((100, 100, 100), (1, 1, 1), (1.01, 1.001, 0.999), (99, 100, 100)),
        ((30, 41, 7), (3.0, 0.62, 1.0), (3.6, 0.62, 0.5), (25, 41, 14)),
        ((10, 10, 10), (1, 1, 1), (40, 30, 25), (1, 1, 1)),
    ],
)
def test_the_new_shape_is_rounded_and_at_least_one(shape, spacing, target, expected):
    assert resampled_shape(shape, spacing, target) == expected


@pytest.mark.parametrize(
    ("spacing", "target", "nearest_axis"),
    [
        ((3.0, 1.0, 1.0), ISOTROPIC, None),  # the ratio must be over 3
        ((3.01, 1.0, 1.0), ISOTROPIC, 0),
        ((1.0, 3.01, 1.0), ISOTROPIC, 1),
        ((1.0, 1.0, 5.0), ISOTROPIC, 2),
        (ISOTROPIC, (3.0, 1.0, 1.0), None),
        (ISOTROPIC, (3.01, 1.0, 1.0), 0),
        ((3.0, 1.0, 1.0), (1.0, 1.0, 3.01), 2),  # the case is isotropic enough, the target decides
        ((1.0, 1.0, 4.0), (9.0, 1.0, 1.0), 2),  # both are not: the case decides
        ((2.0, 0.6, 1.0), ISOTROPIC, 0),  # max/min, not max/next
    ],
)
@pytest.mark.parametrize("order", [LINEAR, CUBIC])
def test_the_coarsest_axis_is_nearest_where_the_case_then_the_target_is_anisotropic(
    spacing, target, nearest_axis, order
):
    expected = tuple(NEAREST if axis == nearest_axis else order for axis in range(3))
    assert interpolation_orders(order, spacing, target) == expected


def test_an_image_is_cubic_in_3d():
    image = np.random.default_rng(0).random((6, 7, 8, 1))
    expected = np.clip(oracle(image[..., 0], (9, 7, 5), CUBIC), image.min(), image.max())
    np.testing.assert_allclose(resample_image(image, (9, 7, 5), ISOTROPIC, ISOTROPIC)[..., 0], expected, atol=1e-5)


@pytest.mark.parametrize(("spacing", "target"), [(THICK, ISOTROPIC), (ISOTROPIC, THICK)])
def test_an_image_of_thick_slices_is_cubic_in_plane_and_nearest_through_plane(spacing, target):
    image = np.random.default_rng(0).random((6, 7, 8, 1))
    expected = np.clip(separate_z_oracle(image[..., 0], (11, 9, 5), CUBIC), image.min(), image.max())
    np.testing.assert_allclose(resample_image(image, (11, 9, 5), spacing, target)[..., 0], expected, atol=1e-5)


def test_each_channel_is_clipped_to_its_own_range():
    edge = np.zeros((8, 8, 8), np.float32)
    edge[4:] = 1
    image = np.stack([edge, 100 - 50 * edge], axis=-1)
    overshoot = oracle(edge, (13, 13, 13), CUBIC)
    assert overshoot.max() > 1.01  # without clipping
    assert overshoot.min() < -0.01
    resampled = resample_image(image, (13, 13, 13), ISOTROPIC, ISOTROPIC)
    assert (resampled[..., 0].min(), resampled[..., 0].max()) == (0, 1)
    assert (resampled[..., 1].min(), resampled[..., 1].max()) == (50, 100)


def test_channels_do_not_mix():
    image = np.random.default_rng(0).random((6, 7, 8, 2)).astype(np.float32)
    both = resample_image(image, (9, 5, 8), ISOTROPIC, ISOTROPIC)
    for channel in (0, 1):
        alone = resample_image(image[..., channel : channel + 1], (9, 5, 8), ISOTROPIC, ISOTROPIC)
        np.testing.assert_array_equal(both[..., channel : channel + 1], alone)


def test_an_image_of_the_right_shape_is_unchanged():
    image = np.random.default_rng(0).random((6, 7, 8, 2)).astype(np.float32)
    np.testing.assert_array_equal(resample_image(image, (6, 7, 8), THICK, ISOTROPIC), image)


@pytest.mark.parametrize(("spacing", "target"), [(ISOTROPIC, ISOTROPIC), (THICK, ISOTROPIC), (ISOTROPIC, THICK)])
@pytest.mark.parametrize("values", [(0, 1), (0, 1, 2, 5)])
@pytest.mark.parametrize("shape", [(14, 17, 9), (7, 5, 11), (10, 20, 8)])
def test_a_label_is_linear_for_each_class_then_the_likeliest_class(spacing, target, values, shape):
    label = blocks((10, 12, 11), values)
    way = oracle if spacing == target else separate_z_oracle
    shares = np.stack([way(label == value, shape, LINEAR) for value in values])
    resampled = resample_label(label, shape, spacing, target)
    chosen = np.take_along_axis(shares, np.searchsorted(values, resampled)[np.newaxis], axis=0)[0]
    np.testing.assert_allclose(chosen, shares.max(axis=0), atol=1e-5)  # equal shares: either may win
    first, second = np.sort(shares, axis=0)[:-3:-1]
    clear = first - second > 1e-5
    assert clear.mean() > 0.5
    np.testing.assert_array_equal(resampled[clear], np.asarray(values)[shares.argmax(axis=0)][clear])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_a_label_keeps_its_type_and_makes_no_new_values(dtype):
    label = blocks((8, 9, 10), (0, 3, 200)).astype(dtype)
    resampled = resample_label(label, (13, 6, 15), ISOTROPIC, ISOTROPIC)
    assert resampled.dtype == dtype
    assert set(np.unique(resampled)) == {0, 3, 200}


def test_a_label_of_the_right_shape_is_unchanged():
    label = blocks((8, 9, 10), (0, 1, 2))
    np.testing.assert_array_equal(resample_label(label, (8, 9, 10), THICK, ISOTROPIC), label)


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 0.8), (1.25, 1.25, 1.25), (0.6, 1.3, 0.9), (1.0, 1.7, 0.5)])
def test_a_smooth_shape_survives_forth_and_back(spacing):
    label = ball()
    there = resample_label(label, resampled_shape(label.shape, ISOTROPIC, spacing), ISOTROPIC, spacing)
    back = resample_label(there, label.shape, spacing, ISOTROPIC)
    dice = 2 * np.sum(label & back) / (label.sum() + back.sum())
    assert dice > 0.97


@pytest.mark.parametrize("shape", [(20, 17, 45), (40, 51, 20)])
def test_image_and_label_stay_on_one_another_and_in_place(shape):
    label = ball()
    image = resample_image(label[..., np.newaxis].astype(np.float32), shape, ISOTROPIC, ISOTROPIC)[..., 0]
    resampled = resample_label(label, shape, ISOTROPIC, ISOTROPIC)
    scale = np.array(label.shape) / shape
    centre = (np.array(ndimage.center_of_mass(label)) + 0.5) / scale - 0.5  # half-pixel centres
    np.testing.assert_allclose(ndimage.center_of_mass(image), centre, atol=0.1)
    np.testing.assert_allclose(ndimage.center_of_mass(resampled), centre, atol=0.1)


def test_two_equally_coarse_axes_are_not_set_apart():
    # nnU-Net v2: for a spacing such as (0.24, 1.25, 1.25) no axis lies through a plane of finer ones.
    assert interpolation_orders(3, (0.24, 1.25, 1.25), (1.0, 1.0, 1.0)) == (3, 3, 3)


@pytest.mark.parametrize("rows", [slice(None), slice(0, 4), slice(3, 9)])
@pytest.mark.parametrize("orders", [(LINEAR,) * 3, (NEAREST, LINEAR, LINEAR), (CUBIC, CUBIC, CUBIC)])
@pytest.mark.parametrize(("source", "target"), SIZES)
def test_plane_by_plane_and_in_bands_the_result_is_the_same(source, target, orders, rows):
    volume = np.random.default_rng(0).random(source).astype(np.float32)
    expected = resample(volume, target, orders)[:, rows]
    if expected.shape[1] == 0:
        return
    resampler = PlaneResampler(source, target, orders, rows)
    assert resampler.depth == target[0]
    band = volume[:, resampler.source_rows]
    for index in range(resampler.depth):
        first, weights = resampler.sources(index)
        plane = np.tensordot(weights, band[first : first + len(weights)], axes=1)
        np.testing.assert_allclose(resampler.in_plane(plane), expected[index], atol=1e-5)


def test_a_plane_needs_at_most_two_neighbours_where_interpolation_is_linear():
    for target in (7, 10, 23):
        resampler = PlaneResampler((10, 3, 3), (target, 3, 3), (LINEAR,) * 3)
        sources = [resampler.sources(index) for index in range(target)]
        assert all(len(weights) <= 2 for _, weights in sources)
        assert [first for first, _ in sources] == sorted(first for first, _ in sources)


def test_a_band_needs_only_the_rows_beside_it():
    resampler = PlaneResampler((4, 100, 4), (4, 50, 4), (LINEAR,) * 3, slice(20, 30))
    assert resampler.source_rows == slice(40, 60)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_the_likeliest_class_is_the_first_of_the_highest_scores(dtype):
    scores = np.random.default_rng(0).integers(0, 5, (6, 20, 30)).astype(np.float32)  # with many equals
    classes = [0, 3, 4, 17, 90, 200]
    winner = likeliest_class(zip(classes, scores, strict=True), dtype)
    assert winner.dtype == dtype
    np.testing.assert_array_equal(winner, np.array(classes)[scores.argmax(axis=0)])
