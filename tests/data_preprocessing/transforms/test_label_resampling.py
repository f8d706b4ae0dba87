"""Labels stay on their image and keep their volume, whatever the factor, the axis and the order."""

import itertools

import numpy as np
import pytest
from scipy import ndimage
from skimage.transform import resize

from data_preprocessing.transforms.label_vote import preferred_sides, vote
from data_preprocessing.transforms.resample import (
    LINEAR,
    NEAREST,
    PlaneResampler,
    interpolation_orders,
    resample,
    resample_label,
    resampled_shape,
)
from nnunet_tf.inference.volume.resampled_planes import RestoredPlanes

ISOTROPIC = (1.0, 1.0, 1.0)
FACTORS = [0.3, 0.45, 0.5, 0.8, 1.25, 1.5, 2, 2.4, 3, 3.7, 4, 5, 6, 8]
SHAPES = [(24, 32, 40), (25, 33, 41)]

every_factor = pytest.mark.parametrize("factor", FACTORS)
every_axis = pytest.mark.parametrize("axis", [0, 1, 2, None])
both_orders = pytest.mark.parametrize("order", [LINEAR, NEAREST])
odd_and_even = pytest.mark.parametrize("shape", SHAPES)


def with_factor(shape, factor, axis):
    """The shape after resampling along one axis, or along all."""
    return tuple(max(1, round(size / factor)) if axis in (None, number) else size for number, size in enumerate(shape))


def spacing_for(order, axis):
    """A spacing with which `axis` (the first one where all are resampled) is taken in that order, the others linearly.

    Labels are given their new shape beside it.
    """
    return tuple(4.0 if order == NEAREST and number == (axis or 0) else 1.0 for number in range(3))


def ellipsoid(shape, center=None, share=0.33):
    middle = [(size - 1) / 2 for size in shape] if center is None else center
    distances = [
        ((index - at) / (share * size)) ** 2 for index, at, size in zip(np.indices(shape), middle, shape, strict=True)
    ]
    return (sum(distances) < 1).astype(np.uint8)


def ball(size, radius, center):
    distances = [(index - at) ** 2 for index, at in zip(np.indices((size,) * 3), center, strict=True)]
    return (sum(distances) <= radius**2).astype(np.uint8)


def lumps(shape, classes=4, seed=0):
    """Random labels in lumps of a few voxels, which no two axes share."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), (1.0, 1.3, 1.6))
    ranks = noise.reshape(-1).argsort().argsort().reshape(shape)
    return np.asarray(range(classes), np.uint8)[ranks * classes // noise.size]


def shares_of(label, shape, orders):
    return np.stack([resample((label == value).astype(np.float32), shape, orders) for value in range(label.max() + 1)])


@every_factor
@every_axis
@both_orders
@odd_and_even
def test_a_label_has_the_class_that_is_likeliest_in_its_resampled_image(factor, axis, order, shape):
    label, spacing, target = lumps(shape), spacing_for(order, axis), with_factor(shape, factor, axis)
    orders = interpolation_orders(LINEAR, spacing, ISOTROPIC)
    assert order in orders
    resampled = resample_label(label, target, spacing, ISOTROPIC)
    shares = shares_of(label, target, orders)
    chosen = np.take_along_axis(shares, resampled[np.newaxis].astype(int), axis=0)[0]
    np.testing.assert_allclose(chosen, shares.max(axis=0), atol=1e-5)


@every_factor
@every_axis
@odd_and_even
def test_a_label_has_the_class_that_is_likeliest_by_skimage(factor, axis, shape):
    label, target = lumps(shape, classes=3), with_factor(shape, factor, axis)
    resampled = resample_label(label, target, ISOTROPIC, ISOTROPIC)
    shares = np.stack(
        [
            resize((label == value).astype(float), target, order=1, mode="edge", anti_aliasing=False)
            for value in range(3)
        ]
    )
    chosen = np.take_along_axis(shares, resampled[np.newaxis].astype(int), axis=0)[0]
    np.testing.assert_allclose(chosen, shares.max(axis=0), atol=1e-5)


@every_factor
@every_axis
@both_orders
@odd_and_even
def test_the_middle_of_a_structure_stays_where_that_of_its_image_is(factor, axis, order, shape):
    shape = tuple(2 * size for size in shape)
    label = ellipsoid(shape, [0.47 * size for size in shape])
    spacing, target = spacing_for(order, axis), with_factor(shape, factor, axis)
    resampled = resample_label(label, target, spacing, ISOTROPIC)
    image = resample(label.astype(np.float32), target, interpolation_orders(LINEAR, spacing, ISOTROPIC))
    np.testing.assert_allclose(ndimage.center_of_mass(resampled), ndimage.center_of_mass(image), atol=0.25)


@pytest.mark.parametrize("factor", [2, 3, 5, 8])
def test_a_ball_in_the_middle_stays_there(factor):
    label = ball(96, 30, (47.5,) * 3)
    spacing = (float(factor),) * 3
    resampled = resample_label(label, resampled_shape(label.shape, ISOTROPIC, spacing), ISOTROPIC, spacing)
    middle = (np.array(ndimage.center_of_mass(resampled)) + 0.5) * 96 / len(resampled) - 0.5
    np.testing.assert_allclose(middle, 47.5, atol=0.3)


# Ties


def expected_in_ties(labels, weights, sides):
    """What one point may become: the labels of the nearest voxels among those of the labels that tie."""
    scores = {label: sum(weights[labels == label]) for label in set(labels.tolist())}
    tied = [label for label, score in scores.items() if score > max(scores.values()) - 1e-6]
    candidates = [corner for corner in range(8) if labels[corner] in tied]
    nearest = max(weights[candidates])
    near = [corner for corner in candidates if weights[corner] > nearest - 1e-9]

    def on_its_side(corner):
        return sum((corner >> (2 - axis) & 1) == side for axis, side in enumerate(sides))

    return {labels[corner] for corner in near if on_its_side(corner) == max(map(on_its_side, near))}


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize(
    "shares", [(0.5, 0.5, 0.5), (0.25, 0.5, 0.5), (0.25, 0.25, 0.25), (0, 0.5, 0.5), (0.1, 0.3, 0.5)]
)
def test_in_a_tie_the_nearest_voxel_decides(classes, shares):
    random = np.random.default_rng(classes)
    labels = random.integers(0, classes, (8, 400)).astype(np.uint8)
    sides = random.random((3, 400)) < 0.5
    corner = [
        np.prod([shares[axis] if side else 1 - shares[axis] for axis, side in enumerate(chosen)])
        for chosen in itertools.product((0, 1), repeat=3)
    ]
    weights = np.repeat(np.array(corner, np.float32)[:, np.newaxis], 400, axis=1)
    voted = vote(labels, weights, sides)
    assert voted.dtype == labels.dtype
    for point in range(400):
        assert voted[point] in expected_in_ties(labels[:, point], np.array(corner), sides[:, point])


def test_every_side_is_preferred_equally_often():
    z, y, x = np.indices((2, 2, 2)).reshape(3, -1)
    assert len({tuple(side) for side in preferred_sides(z, y, x).T.tolist()}) == 8


@pytest.mark.parametrize("swapped", [False, True], ids=["bright", "dark"])
@pytest.mark.parametrize("factor", [2, 4])
def test_balls_keep_their_volume_at_even_factors(factor, swapped):
    random = np.random.default_rng(0)
    before, after = 0, 0
    for _ in range(40):
        label = ball(48, 5 * factor / 2, random.uniform(18, 30, 3))
        given = 1 - label if swapped else label  # the class of the structure is the first or the second
        resampled = resample_label(given, (48 // factor,) * 3, ISOTROPIC, (factor,) * 3)
        before += label.sum()
        after += (resampled != swapped).sum() * factor**3
    assert after / before == pytest.approx(1, abs=0.06)


def test_a_ball_of_five_voxels_keeps_its_volume_from_1_to_2_mm():
    label = ball(16, 5, (7.5,) * 3)
    resampled = resample_label(label, (8, 8, 8), ISOTROPIC, (2.0,) * 3)
    assert 8 * resampled.sum() / label.sum() == pytest.approx(1, abs=0.05)


def test_structures_do_not_move_at_even_factors():
    random = np.random.default_rng(0)
    moved = []
    for _ in range(60):
        label = ball(32, 6, random.uniform(12, 19, 3))
        resampled = resample_label(label, (16, 16, 16), ISOTROPIC, (2.0,) * 3)
        moved.append(np.array(ndimage.center_of_mass(resampled)) * 2 + 0.5 - ndimage.center_of_mass(label))
    np.testing.assert_allclose(np.mean(moved, axis=0), 0, atol=0.05)


@every_axis
@pytest.mark.parametrize("place", [6, 7, 8, 9])
@pytest.mark.parametrize("plane_factor", [1, 2])
def test_a_sheet_of_one_voxel_keeps_its_volume(axis, place, plane_factor):
    if axis is None:
        return
    label = np.zeros((16, 16, 16), np.uint8)
    np.moveaxis(label, axis, 0)[place] = 1
    shape = tuple(8 if number == axis else 16 // plane_factor for number in range(3))
    spacing = tuple(16.0 / size for size in shape)
    resampled = resample_label(label, shape, ISOTROPIC, spacing)
    assert resampled.sum() * np.prod(spacing) == label.sum()


def test_ties_of_three_classes_go_to_one_of_them():
    label = np.zeros((4, 4, 4), np.uint8)
    label[1::2, ::2] = 1
    label[:, 1::2, ::2] = 2  # in each block of 2x2x2: 2 voxels of 0 and of 1, 4 of 2
    label[
        :,
        1::2,
        :,
    ][::2, :, ::2] = 3  # and 2 each of 2 and 3
    resampled = resample_label(label, (2, 2, 2), ISOTROPIC, (2.0,) * 3)
    for z, y, x in np.ndindex(2, 2, 2):
        values, counts = np.unique(label[2 * z : 2 * z + 2, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2], return_counts=True)
        assert resampled[z, y, x] in values[counts == counts.max()]


# Preconditions


@pytest.mark.parametrize("rows", [slice(None), slice(2, 4)])
@pytest.mark.parametrize(("shape", "orders"), [((4, 8, 8), (LINEAR,) * 3), ((4, 12, 8), (LINEAR, NEAREST, LINEAR))])
def test_a_plane_of_other_rows_than_needed_is_refused(shape, orders, rows):
    source = (5, 25, 9)
    resampler = PlaneResampler(source, shape, orders, rows)
    assert resampler.source_rows != slice(0, 25)
    with pytest.raises(ValueError, match="shape"):
        resampler.in_plane(np.zeros(source[1:], np.float32))
    with pytest.raises(ValueError, match="shape"):
        resampler.in_plane(np.zeros(resampler.source_plane_shape, np.float32)[:, :-1])


@pytest.mark.parametrize("rows", [slice(8, 9), slice(3, 3), slice(0, 8, 2)])
def test_a_range_without_rows_is_refused(rows):
    with pytest.raises(ValueError, match="rows"):
        PlaneResampler((5, 25, 9), (4, 8, 8), (LINEAR,) * 3, rows)


@pytest.mark.parametrize(("first", "rows"), [(0, slice(None)), (1, None), (0, slice(1, -2))])
def test_slabs_of_other_rows_or_out_of_order_are_refused(first, rows):
    resampler = PlaneResampler((5, 25, 9), (4, 8, 8), (LINEAR,) * 3)
    scores = np.zeros((2, 5, 25, 9), np.float32)[:, :, resampler.source_rows if rows is None else rows]
    with pytest.raises(ValueError, match="slab"):
        RestoredPlanes(iter([(first, scores)]), resampler).advance(0)
