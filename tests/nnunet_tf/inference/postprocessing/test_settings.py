import numpy as np
import pytest
from scipy import ndimage

from data_preprocessing.common.errors import UserError
from nnunet_tf.inference.postprocessing.settings import (
    POSTPROCESSING_NAME,
    Postprocessing,
    apply,
    read_postprocessing,
    write_postprocessing,
)

CORNERS = np.ones((3, 3, 3))


def noise(dtype=np.uint8):
    """Blobs of three numbers with speckles, not touching the border."""
    random = np.random.default_rng(2)
    smooth = ndimage.gaussian_filter(random.normal(size=(20, 24, 22)), 2)
    labels = np.digitize(smooth, np.quantile(smooth, [0.6, 0.75, 0.9])).astype(dtype)
    speckled = random.random(labels.shape) < 0.02
    labels[speckled] = random.integers(0, 4, np.count_nonzero(speckled))
    return np.pad(labels, 3)


def largest_by_scipy(mask):
    ids, _ = ndimage.label(mask, CORNERS)
    sizes = np.bincount(ids.ravel())[1:]
    assert np.count_nonzero(sizes == sizes.max()) == 1
    return ids == 1 + sizes.argmax()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("foreground", [False, True])
@pytest.mark.parametrize("numbers", [(), (2,), (1, 3)])
def test_what_is_kept_is_what_scipy_finds_to_be_the_largest(dtype, foreground, numbers):
    expected = noise(dtype)
    if foreground:
        expected[~largest_by_scipy(expected > 0)] = 0
    for number in numbers:
        expected[(expected == number) & ~largest_by_scipy(expected == number)] = 0
    postprocessing = Postprocessing(keep_largest_foreground=foreground, keep_largest=numbers)
    result = apply(noise(dtype), postprocessing)
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == dtype
    if foreground or numbers:
        assert (expected != noise()).any()


def test_voxels_that_share_only_a_corner_stay_together():
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[0, 0, 0] = labels[1, 1, 1] = labels[2, 2, 2] = 1
    kept = apply(labels.copy(), Postprocessing(keep_largest_foreground=True, keep_largest=(1,)))
    np.testing.assert_array_equal(kept, labels)


@pytest.mark.parametrize("shape", [(1, 5, 6), (3, 4, 5)])
def test_a_segmentation_without_foreground_stays_as_it_is(shape):
    result = apply(np.zeros(shape, np.uint8), Postprocessing(keep_largest_foreground=True, keep_largest=(1, 2)))
    np.testing.assert_array_equal(result, np.zeros(shape))


def test_the_array_itself_is_changed_unless_it_is_read_only():
    labels, postprocessing = noise(), Postprocessing(keep_largest_foreground=True)
    assert apply(labels, postprocessing) is labels
    fixed = noise()
    fixed.flags.writeable = False
    np.testing.assert_array_equal(apply(fixed, postprocessing), labels)
    np.testing.assert_array_equal(fixed, noise())


def test_a_view_in_another_axis_order_is_served_as_well():
    postprocessing = Postprocessing(keep_largest_foreground=True, keep_largest=(1, 3))
    result = apply(noise().transpose(2, 0, 1), postprocessing)
    np.testing.assert_array_equal(result, apply(noise(), postprocessing).transpose(2, 0, 1))


def test_what_was_written_is_read_again(tmp_path):
    assert read_postprocessing(tmp_path) is None
    postprocessing = Postprocessing(keep_largest=(2, 5), cases=3, dice_before=0.5, dice_after=0.75)
    write_postprocessing(tmp_path, postprocessing)
    assert read_postprocessing(tmp_path) == postprocessing


@pytest.mark.parametrize("content", ['{"format": 2}', '{"keep_smallest": true}', '{"keep_largest": [0]}', "{"])
def test_a_file_that_is_not_understood_is_refused_by_name(tmp_path, content):
    (tmp_path / POSTPROCESSING_NAME).write_text(content)
    with pytest.raises(UserError, match=f"{POSTPROCESSING_NAME}: .*find it again"):
        read_postprocessing(tmp_path)
