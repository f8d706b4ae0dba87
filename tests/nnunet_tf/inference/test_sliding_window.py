import itertools
import math

import numpy as np
import pytest

from nnunet_tf.inference.sliding_window import blend_weights, count_windows, sliding_window, window_starts


def network(patches):
    """Logits that depend on where in the patch a voxel lies, so that every window predicts something else."""
    position = np.indices(patches.shape[1:4]).sum(axis=0)[..., np.newaxis]
    return np.concatenate([patches[..., :1] * np.cos(position), patches.sum(-1, keepdims=True) + position], axis=-1)


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
    total, weight = np.zeros((*padded.shape[:3], 2)), np.zeros((*padded.shape[:3], 1))
    for z, y, x in itertools.product(*starts):
        window = slice(z, z + patch[0]), slice(y, y + patch[1]), slice(x, x + patch[2])
        total[window] += network(padded[window][np.newaxis])[0] * weights[..., np.newaxis]
        weight[window] += weights[..., np.newaxis]
    inside = tuple(slice(first, size - last) for (first, last), size in zip(pads, padded.shape, strict=False))
    return (total / weight)[inside]


@pytest.mark.parametrize("blend_mode", ["gaussian", "constant"])
@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 0.75])
@pytest.mark.parametrize("shape", [(8, 8, 8), (13, 9, 21), (5, 17, 3), (3, 3, 3), (1, 9, 9)])
def test_the_result_is_that_of_the_plain_loop(shape, overlap, blend_mode):
    image = np.random.default_rng(0).normal(size=(*shape, 2)).astype(np.float32)
    ours = sliding_window(image, (8, 6, 7), network, 2, overlap, blend_mode, batch_size=3)
    np.testing.assert_allclose(
        ours, reference(image, (8, 6, 7), overlap, blend_mode == "gaussian"), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("shape", [(20, 15, 9), (4, 5, 30)])
def test_a_network_that_returns_its_input_gives_the_image_back(shape, overlap):
    image = np.random.default_rng(0).normal(size=(*shape, 1)).astype(np.float32)
    result = sliding_window(image, (8, 6, 7), lambda patches: patches, 1, overlap)
    np.testing.assert_allclose(result, image, rtol=1e-5, atol=1e-5)


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


def test_windows_are_counted():
    calls = []

    def counting(patches):
        calls.append(len(patches))
        return patches

    sliding_window(np.zeros((20, 9, 30, 1), np.float32), (8, 8, 8), counting, 1, 0.5, batch_size=4)
    assert sum(calls) == count_windows((20, 9, 30), (8, 8, 8), 0.5)
    assert max(calls) == 4
