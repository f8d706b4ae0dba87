import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.transform import resize

from nnunet_tf.inference.restore import classes_on_grid


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
