import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import binary_erosion
from scipy.spatial.distance import cdist

from nnunet_tf.evaluation.metrics.surface_distance import SurfaceDistances, assd, hd95, nsd, surface, surface_distances

SPACINGS = [(1.0, 1.0, 1.0), (5.0, 0.7, 0.7), (1.5, 0.4, 2.5)]


def blobs(seed, shape=(11, 14, 13)):
    """Random masks with islands, holes and parts at the border."""
    smooth = sitk.DiscreteGaussian(sitk.GetImageFromArray(np.random.default_rng(seed).normal(size=shape)), 1.5)
    return sitk.GetArrayFromImage(smooth) > 0.05


def brute_force(prediction, truth, spacing):
    points = [np.argwhere(mask ^ binary_erosion(mask)) * np.array(spacing) for mask in (prediction, truth)]
    distances = cdist(*points)
    return distances.min(axis=1), distances.min(axis=0)


def by_distance_map(prediction, truth, spacing):
    """SimpleITK's contours, in an image with a margin, and its distance maps."""

    def contour(mask):
        image = sitk.GetImageFromArray(np.pad(mask, 1).astype(np.uint8))
        image.SetSpacing(spacing[::-1])
        return sitk.LabelContour(image, fullyConnected=False)

    def distances(start, end):
        there = sitk.SignedMaurerDistanceMap(end, squaredDistance=False, useImageSpacing=True)
        return np.abs(sitk.GetArrayFromImage(there))[sitk.GetArrayFromImage(start) == 1]

    first, second = contour(prediction), contour(truth)
    return distances(first, second), distances(second, first)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("oracle", [brute_force, by_distance_map])
def test_distances_are_those_of_an_exhaustive_search_and_of_simpleitk(spacing, seed, oracle):
    prediction, truth = blobs(seed), blobs(seed + 100)
    found = surface_distances(prediction, truth, spacing)
    for ours, theirs in zip((found.of_prediction, found.of_truth), oracle(prediction, truth, spacing), strict=True):
        np.testing.assert_allclose(np.sort(ours), np.sort(theirs), rtol=1e-5, atol=1e-5)  # its maps are float32


def test_measures_of_known_distances():
    distances = SurfaceDistances(np.array([0.0, 1.0, 2.0, 10.0]), np.array([0.0, 3.0]))
    assert nsd(distances, 2) == pytest.approx(4 / 6)
    assert assd(distances) == pytest.approx(16 / 6)
    assert hd95(distances) == pytest.approx(np.percentile([0, 1, 2, 10], 95))


def test_cubes_a_slice_apart():
    prediction, truth = np.zeros((2, 6, 6, 6), bool)
    prediction[1:3, 1:5, 1:5] = True
    truth[2:4, 1:5, 1:5] = True
    found = surface_distances(prediction, truth, (5.0, 1.0, 1.0))
    assert sorted(found.of_prediction) == [0] * 16 + [5] * 16
    assert hd95(found) == 5
    assert assd(found) == 2.5
    assert (nsd(found, 4.9), nsd(found, 5)) == (0.5, 1)


def test_a_tolerance_of_whole_voxels_is_kept_in_spite_of_rounded_spacings():
    prediction, truth = np.zeros((2, 1, 1, 30), bool)
    prediction[..., 0] = truth[..., 20] = True
    found = surface_distances(prediction, truth, (1.0, 1.0, float(np.float32(0.1))))
    assert found.of_truth[0] > 2.0
    assert nsd(found, 2.0) == 1


def test_where_the_masks_are_cut_from_does_not_matter():
    prediction, truth = np.zeros((2, 30, 30, 30), bool)
    prediction[5:16, 5:19, 5:18], truth[5:16, 5:19, 5:18] = blobs(1), blobs(2)
    box = (slice(5, 16), slice(5, 19), slice(5, 18))
    whole, cut = (surface_distances(prediction[b], truth[b], (3, 1, 1)) for b in (slice(None), box))
    np.testing.assert_array_equal(whole.of_prediction, cut.of_prediction)
    np.testing.assert_array_equal(whole.of_truth, cut.of_truth)


def test_the_surface_of_a_slice_is_its_outline():
    mask = np.zeros((1, 7, 7), bool)
    mask[0, 1:6, 1:6] = True
    assert surface(mask, axes=(1, 2)).sum() == 16
    assert surface(mask).sum() == 25  # along an axis of one voxel everything is surface


def test_a_hole_and_the_border_of_the_volume_are_surface():
    mask = np.ones((5, 5, 5), bool)
    mask[2, 2, 2] = False
    np.testing.assert_array_equal(surface(mask), mask ^ binary_erosion(mask))
    assert surface(mask)[2, 2, 1]
    assert surface(mask)[0, 2, 2]
