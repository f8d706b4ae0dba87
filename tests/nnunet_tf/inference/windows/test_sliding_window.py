import itertools
import math

import numpy as np
import pytest

from nnunet_tf.inference.windows.sliding_window import (
    WindowOptions,
    blend_weights,
    cut,
    sliding_slabs,
    sliding_window,
    window_corners,
    window_starts,
    windows_at_once,
)

SHAPES = [(8, 8, 8), (13, 9, 21), (37, 11, 9), (5, 17, 3), (3, 3, 3), (1, 9, 9)]


def network(patches):
    """Scores that depend on where in the patch a voxel lies, so that every window predicts something else."""
    position = np.indices(patches.shape[1:4]).sum(axis=0)
    return np.stack([patches[..., 0] * np.cos(position), patches.sum(-1) + position], axis=1)


def identity(patches):
    return np.moveaxis(patches, -1, 1)


def reference(image, patch, overlap, gaussian):
    """The rule written as plain loops in float64."""
    missing = [max(0, p - s) for p, s in zip(patch, image.shape, strict=False)]
    pads = [(m // 2, m - m // 2) for m in missing]
    padded = np.pad(image.astype(np.float64), [*pads, (0, 0)])
    weights = np.ones(patch)
    if gaussian:
        for index in np.ndindex(*patch):
            exponents = [((i - (p - 1) / 2) / (p / 8)) ** 2 for i, p in zip(index, patch, strict=True)]
            weights[index] = math.exp(-0.5 * sum(exponents))
        weights /= weights.max()
    starts = []
    for size, p in zip(padded.shape, patch, strict=False):
        count = math.ceil((size - p) / (p * (1 - overlap))) + 1
        starts.append([round(i * (size - p) / (count - 1)) for i in range(count)] if count > 1 else [0])
    total, weight = np.zeros((2, *padded.shape[:3])), np.zeros(padded.shape[:3])
    for z, y, x in itertools.product(*starts):
        window = slice(z, z + patch[0]), slice(y, y + patch[1]), slice(x, x + patch[2])
        total[:, *window] += network(padded[window][np.newaxis])[0] * weights
        weight[window] += weights
    inside = tuple(slice(first, size - last) for (first, last), size in zip(pads, padded.shape, strict=False))
    return np.moveaxis(total / weight, 0, -1)[inside]


def random_image(shape, channels=2):
    return np.random.default_rng(0).normal(size=(*shape, channels)).astype(np.float32)


@pytest.mark.parametrize("blend_mode", ["gaussian", "constant"])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.3, 0.5, 0.75])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_result_is_that_of_the_plain_loop(shape, overlap, blend_mode):
    image = random_image(shape)
    ours = sliding_window(image, (8, 6, 7), network, 2, WindowOptions(overlap, blend_mode, batch_size=3))
    expected = reference(image, (8, 6, 7), overlap, blend_mode == "gaussian")
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
@pytest.mark.parametrize("shape", [(40, 9, 21), (2, 3, 4), (1, 17, 9)])
def test_a_2d_network_sees_each_window_of_each_slice_once(shape, overlap):
    image, seen = random_image(shape), []

    def counting(patches):
        seen.extend(patches)
        return network(patches)

    ours = sliding_window(image, (1, 6, 7), counting, 2, WindowOptions(overlap, batch_size=4))
    slices = [reference(image[index : index + 1], (1, 6, 7), overlap, True) for index in range(shape[0])]
    np.testing.assert_allclose(ours, np.concatenate(slices), rtol=1e-5, atol=1e-5)
    assert len(seen) == shape[0] * len(window_corners((1, *shape[1:]), (1, 6, 7), overlap))


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.7, 0.75, 0.9])
@pytest.mark.parametrize("shape", [(20, 15, 9), (4, 5, 30), (41, 6, 7)])
def test_a_network_that_returns_its_input_gives_the_image_back(shape, overlap):
    image = random_image(shape, channels=1)
    result = sliding_window(image, (8, 6, 7), identity, 1, WindowOptions(overlap))
    np.testing.assert_allclose(result, image, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
@pytest.mark.parametrize("patch", [(24, 6, 7), (8, 6, 7), (1, 6, 7)])
def test_slabs_follow_one_another_and_are_no_deeper_than_what_is_summed_up(patch, overlap):
    image, stop = random_image((70, 11, 9)), 0
    whole = sliding_window(image, patch, network, 2, WindowOptions(overlap))
    for first, scores in sliding_slabs(image, patch, network, 2, WindowOptions(overlap)):
        assert first == stop
        stop = first + scores.shape[1]
        assert scores.shape == (2, stop - first, 11, 9)
        assert scores.shape[1] <= max(16, patch[0])
        np.testing.assert_array_equal(scores, np.moveaxis(whole[first:stop], -1, 0))
    assert stop == 70


@pytest.mark.parametrize("rows", [slice(0, 5), slice(4, 13), slice(19, 23), slice(7, 8)])
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
def test_a_band_of_rows_is_that_of_the_whole_from_fewer_windows(rows, overlap):
    image, done = random_image((19, 23, 9)), []
    options = WindowOptions(overlap, batch_size=2)
    whole = sliding_window(image, (8, 6, 7), network, 2, options)
    slabs = sliding_slabs(image, (8, 6, 7), network, 2, options, rows, done.append)
    band = np.concatenate([scores.copy() for _, scores in slabs], axis=1)
    np.testing.assert_array_equal(np.moveaxis(band, 0, -1), whole[:, rows])
    count = len(window_corners((19, 23, 9), (8, 6, 7), overlap, rows))
    assert sum(done) == count < len(window_corners((19, 23, 9), (8, 6, 7), overlap))


def test_an_error_in_the_network_comes_out():
    def broken(patches):
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        sliding_window(random_image((20, 9, 9)), (8, 6, 7), broken, 2)


@pytest.mark.parametrize("size", range(1, 40))
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.66])
def test_windows_cover_the_axis_and_stay_inside(size, overlap):
    starts = window_starts(size, 7, overlap)
    covered = {voxel for start in starts for voxel in range(start, start + 7)}
    assert covered >= set(range(size))
    assert max(covered) < max(size, 7)
    assert starts[0] == 0
    assert all(later - earlier <= 7 for earlier, later in itertools.pairwise(starts))


def test_the_gaussian_is_symmetric_positive_and_one_at_its_centre():
    weights = blend_weights((9, 160, 128), "gaussian")  # so long that float32 underflows in the corners
    assert weights.max() == 1
    assert weights.min() > 0
    np.testing.assert_array_equal(weights, weights[::-1, ::-1, ::-1])


def test_a_window_is_zero_where_there_is_no_image():
    image = np.ones((2, 5, 3, 1), np.float32)
    window = cut(image, (-1, 2, -2), (5, 3, 6))
    expected = np.pad(np.ones((2, 3, 3, 1)), [(1, 2), (0, 0), (2, 1), (0, 0)])
    np.testing.assert_array_equal(window, expected)


def test_windows_are_computed_in_batches_of_the_size_asked_for():
    calls = []

    def counting(patches):
        calls.append(len(patches))
        return identity(patches)

    sliding_window(np.zeros((20, 9, 30, 1), np.float32), (8, 8, 8), counting, 1, WindowOptions(batch_size=4))
    assert sum(calls) == len(window_corners((20, 9, 30), (8, 8, 8), 0.5))
    assert max(calls) == 4


@pytest.mark.parametrize(
    ("patch", "device", "count"),
    [((40, 56, 40), "cpu", 1), ((1, 56, 40), "cpu", 16), ((128, 128, 128), "gpu", 2), ((256, 256, 256), "gpu", 1)],
)
def test_the_batch_size_is_a_power_of_two_by_the_voxels_of_a_window(patch, device, count):
    assert windows_at_once(patch, device) == count
