import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.transform import resize

from data_preprocessing.transforms.resample import PlaneResampler
from nnunet_tf.inference.volume.resampled_planes import RestoredPlanes

SOURCE = (10, 14, 12)


def smooth_scores(channels=4, shape=SOURCE):
    random = np.random.default_rng(0)
    return np.stack([gaussian_filter(random.normal(size=shape), 1.5) for _ in range(channels)]).astype(np.float32)


def slabs(scores, rows, depth):
    """Slabs of at most `depth` planes in memory that is used again for the next, as in the sliding window."""
    memory = np.empty_like(scores[:, :depth, rows])
    for first in range(0, scores.shape[1], depth):
        part = scores[:, first : first + depth, rows]
        memory[:, : part.shape[1]] = part
        yield first, memory[:, : part.shape[1]]
        memory[:] = np.nan


def restored(scores, shape, orders, depth, rows=slice(None)):
    resampler = PlaneResampler(scores.shape[1:], shape, orders, rows)
    planes = RestoredPlanes(slabs(scores, resampler.source_rows, depth), resampler)
    result, index = [], 0
    while index < planes.depth:
        stop = planes.advance(index)
        assert stop > index
        result += [
            np.stack([planes.score(plane, channel) for channel in range(len(scores))], axis=0)
            for plane in range(index, stop)
        ]
        index = stop
    return np.stack(result, axis=1)


@pytest.mark.parametrize("depth", [1, 3, 10])
@pytest.mark.parametrize("shape", [(17, 20, 9), (30, 11, 40), (10, 14, 12), (4, 14, 30), (1, 3, 5)])
def test_the_planes_are_those_of_the_resized_scores_whatever_the_slabs(shape, depth):
    scores = smooth_scores()
    expected = [resize(score, shape, order=1, mode="edge", anti_aliasing=False, clip=False) for score in scores]
    np.testing.assert_allclose(restored(scores, shape, (1, 1, 1), depth), expected, atol=1e-5)


@pytest.mark.parametrize("depth", [1, 4])
def test_bands_of_rows_put_together_are_the_whole(depth):
    scores, shape = smooth_scores(), (23, 20, 9)
    bands = [restored(scores, shape, (1, 1, 1), depth, rows) for rows in (slice(0, 7), slice(7, 8), slice(8, 20))]
    whole = restored(scores, shape, (1, 1, 1), depth=10)
    np.testing.assert_allclose(np.concatenate(bands, axis=2), whole, atol=1e-6)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_nearest_along_one_axis_repeats_its_slices(depth):
    scores = smooth_scores(3, (5, 14, 12))
    np.testing.assert_array_equal(restored(scores, (15, 14, 12), (0, 1, 1), depth), np.repeat(scores, 3, axis=1))


def test_without_resampling_the_scores_come_back_exactly():
    scores = smooth_scores()
    np.testing.assert_array_equal(restored(scores, SOURCE, (1, 1, 1), 3), scores)
