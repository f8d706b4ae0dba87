import numpy as np
import pytest

from nnunet_tf.inference.windows.rolling_mean import RollingMean, mean_bytes


def test_planes_are_the_weighted_mean_of_the_windows_over_them():
    first, second = np.full((1, 4, 2, 2), 3.0, np.float32), np.full((1, 4, 2, 2), 9.0, np.float32)
    mean = RollingMean(1, (6, 2, 2), slice(None), planes=4)
    mean.add((0, 0, 0), first, np.full((4, 2, 2), 2, np.float32))
    assert not mean.holds(2, 4)
    plane, values = mean.finished(2)
    assert plane == 0
    np.testing.assert_array_equal(values, np.full((1, 2, 2, 2), 3))
    mean.drop(2)
    assert mean.holds(2, 4)
    mean.add((2, 0, 0), second, np.ones((4, 2, 2), np.float32))
    plane, values = mean.finished(6)
    assert plane == 2
    np.testing.assert_allclose(values[0, :, 0, 0], [5, 5, 9, 9], rtol=1e-6)


@pytest.mark.parametrize("corner", [(-1, -2, -3), (1, 3, 2), (0, -1, 4)])
def test_what_lies_outside_the_volume_or_the_rows_is_cut_off(corner):
    values = np.random.default_rng(0).random((2, 5, 6, 7)).astype(np.float32)
    expected = np.full((2, 3, 8, 5), np.nan)
    for index in np.ndindex(5, 6, 7):
        z, y, x = np.add(index, corner)
        if 0 <= z < 3 and 0 <= y < 8 and 0 <= x < 5:
            expected[:, z, y, x] = values[:, *index]
    mean = RollingMean(2, (3, 8, 5), slice(1, 6), planes=3)
    mean.add(corner, values, np.full((5, 6, 7), 0.5, np.float32))
    with np.errstate(invalid="ignore"):  # where no window was
        _, ours = mean.finished(3)
    np.testing.assert_allclose(ours, expected[:, :, 1:6], rtol=1e-6)


def test_the_memory_told_is_that_of_the_sums():
    assert mean_bytes(41, 128, 534, 534) == pytest.approx(128 * 534 * 534 * 42 * 4)
