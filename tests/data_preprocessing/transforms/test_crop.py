import numpy as np
import pytest

from data_preprocessing.transforms.crop import bounding_box, crop, nonzero_mask


def image_with(*voxels, value=1.0, shape=(6, 7, 8), channels=1):
    image = np.zeros((*shape, channels), np.float32)
    for voxel in voxels:
        image[voxel] = value
    return image


def test_the_box_is_half_open_around_the_nonzero_voxels():
    mask = nonzero_mask(image_with((1, 2, 3, 0), (3, 2, 5, 0)))
    assert bounding_box(mask) == ((1, 4), (2, 3), (3, 6))


def test_a_box_may_reach_every_border():
    mask = nonzero_mask(image_with((0, 0, 0, 0), (5, 6, 7, 0)))
    assert bounding_box(mask) == ((0, 6), (0, 7), (0, 8))


@pytest.mark.parametrize("value", [-1000.0, -0.5, 1e-6, np.float32(300)])
def test_negative_and_small_voxels_are_inside(value):
    assert bounding_box(nonzero_mask(image_with((4, 5, 6, 0), value=value))) == ((4, 5), (5, 6), (6, 7))


def test_channels_are_united():
    image = image_with((1, 1, 1, 0), (4, 4, 4, 2), channels=3)
    assert bounding_box(nonzero_mask(image)) == ((1, 5), (1, 5), (1, 5))


def test_channels_that_cancel_out_are_inside():
    image = image_with((2, 2, 2, 0), channels=2)
    image[2, 2, 2, 1] = -1
    assert nonzero_mask(image)[2, 2, 2]


@pytest.mark.parametrize("shape", [(6, 7, 8), (1, 1, 1), (4, 5)])
def test_an_all_zero_image_keeps_its_extent(shape):
    assert bounding_box(np.zeros(shape, bool)) == tuple((0, size) for size in shape)


def test_the_mask_fills_holes():
    image = image_with(shape=(5, 5, 5))
    image[1:4, 1:4, 1:4] = 1
    image[2, 2, 2] = 0
    expected = np.zeros((5, 5, 5), bool)
    expected[1:4, 1:4, 1:4] = True
    np.testing.assert_array_equal(nonzero_mask(image), expected)


def test_a_dent_open_to_the_outside_is_not_filled():
    image = image_with(shape=(5, 5, 5))
    image[1:4, 1:4, 1:4] = 1
    image[1:3, 2, 2] = 0
    mask = nonzero_mask(image)
    assert not mask[1, 2, 2]
    assert not mask[2, 2, 2]


def test_crop_keeps_axes_after_those_of_the_box():
    image = np.arange(5 * 6 * 7 * 2).reshape(5, 6, 7, 2)
    np.testing.assert_array_equal(crop(image, ((1, 3), (0, 6), (4, 5))), image[1:3, :, 4:5, :])
