import numpy as np
import pytest
from scipy import ndimage

from nnunet_tf.data.augmentation.source_boxes import source_regions
from nnunet_tf.data.augmentation.spatial import mirror, warp
from nnunet_tf.data.sampling.epoch_samples import warp_matrices
from tests.nnunet_tf.data.samples import run_step

PATCH = (12, 14, 10)
ROTATION, SCALE = np.array([[0.4, -0.2, 0.3], [0, 0, 0]]), np.array([1.3, 0.8])


def blobs(shape, seed=0):
    return ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2).astype(np.float32) * 10


def regions_of(volume, patch, rotation=ROTATION, scale=SCALE):
    """Regions around the middle of a volume, cut out of it and padded with 0, and the matrices that go with them."""
    start = (np.array(volume.shape) - patch) // 2
    regions = source_regions(np.tile(start, (len(scale), 1)), patch, rotation, scale)
    margin = 20
    padded = np.pad(volume, margin)
    cut = [
        padded[tuple(slice(margin + s, margin + s + n) for s, n in zip(first, shape, strict=True))]
        for first, shape in zip(regions.start, regions.shape, strict=True)
    ]
    return start, regions, cut


def run_warp(images, labels, warped, matrices, patch):
    return run_step(
        lambda image, label, flag, matrix: warp(image, label, flag, matrix, patch),
        [[image[..., np.newaxis] for image in images], [label[..., np.newaxis] for label in labels]],
        [np.array(warped), matrices],
    )


@pytest.mark.parametrize("shape", [(30, 32, 28), (15, 16, 12)])  # the region lies within the volume, or leaves it
def test_rotation_and_scaling_are_those_of_scipy_on_the_whole_volume(shape):
    volume = blobs(shape)
    start, regions, cut = regions_of(volume, PATCH)
    images, _ = run_warp(cut, cut, [True, True], warp_matrices(regions, PATCH), PATCH)
    centre = start + (np.array(PATCH) - 1) / 2
    for image, matrix in zip(images, regions.matrix, strict=True):
        offset = centre - matrix @ ((np.array(PATCH) - 1) / 2)
        expected = ndimage.affine_transform(volume, matrix, offset, PATCH, order=1, mode="grid-constant")
        np.testing.assert_allclose(image[..., 0], expected, atol=1e-3)


def test_2d_patches_are_rotated_in_plane():
    volume, patch = blobs((1, 40, 42)), (1, 16, 12)
    start, regions, cut = regions_of(volume, patch, np.array([[0.7, 0, 0]]), np.array([1.2]))
    matrices = warp_matrices(regions, patch)[:, :2, [0, 1, 3]]
    images, _ = run_warp([cut[0][0]], [cut[0][0]], [True], matrices, patch[1:])
    centre, matrix = (start + (np.array(patch) - 1) / 2)[1:], regions.matrix[0, 1:, 1:]
    offset = centre - matrix @ ((np.array(patch[1:]) - 1) / 2)
    expected = ndimage.affine_transform(volume[0], matrix, offset, patch[1:], order=1, mode="grid-constant")
    np.testing.assert_allclose(images[0][..., 0], expected, atol=1e-3)


def test_what_is_not_warped_or_mirrored_stays_bit_for_bit():
    image, label = blobs(PATCH), np.random.default_rng(0).integers(0, 3, PATCH).astype(np.int32)
    images, labels = run_warp([image], [label], [False], np.zeros((1, 3, 4), np.float32), PATCH)
    np.testing.assert_array_equal(images[0][..., 0], image)
    np.testing.assert_array_equal(labels[0][..., 0], label)
    volumes = [[image[..., np.newaxis]], [label[..., np.newaxis]]]
    (same,), (same_label,) = run_step(lambda i, s, m: mirror(i, s, m, 3), volumes, [np.zeros((1, 3), np.int32)])
    np.testing.assert_array_equal(same[..., 0], image)
    np.testing.assert_array_equal(same_label[..., 0], label)


@pytest.mark.parametrize("shape", [(4, 5, 6, 2), (5, 6, 2)])
def test_mirroring_flips_the_chosen_axes_of_image_and_label(shape):
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    axes = len(shape) - 1
    for chosen in np.eye(axes, dtype=np.int32):
        step = [[image], [image.astype(np.int32)]]
        (flipped,), (label,) = run_step(lambda i, s, m: mirror(i, s, m, axes), step, [chosen[np.newaxis]])
        np.testing.assert_array_equal(flipped, np.flip(image, int(chosen.argmax())))
        np.testing.assert_array_equal(label, flipped)
