import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nnunet_tf.data.augmentation.source_boxes import rotation_matrices, source_regions


def test_rotation_matrices_are_those_of_scipy():
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, (20, 3))
    ours = rotation_matrices(angles)
    for matrix, (about_z, about_y, about_x) in zip(ours, angles, strict=True):
        # In (z, y, x) order axes 0, 1, 2 stand where SciPy has x, y, z; a turn about y goes the other way round.
        theirs = Rotation.from_euler("XYZ", [about_z, -about_y, about_x]).as_matrix()
        np.testing.assert_allclose(matrix, theirs, atol=1e-12)


def test_without_rotation_and_scaling_the_region_is_the_patch():
    start = np.array([[3, -2, 5]])
    regions = source_regions(start, (16, 25, 8), np.zeros((1, 3)), np.ones(1))
    assert regions.start.tolist() == start.tolist()
    assert regions.shape.tolist() == [[16, 25, 8]]
    np.testing.assert_array_equal(regions.matrix[0], np.eye(3))


@pytest.mark.parametrize("patch", [(16, 24, 16), (15, 24, 9), (1, 24, 17)])
def test_a_region_holds_the_corners_of_its_patch_and_no_layer_more(patch):
    random = np.random.default_rng(0)
    rotation, scale = random.uniform(-1, 1, (200, 3)), random.uniform(0.7, 1.4, 200)
    start = random.integers(-5, 20, (200, 3))
    regions = source_regions(start, patch, rotation, scale)
    signs = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, -1)
    corners = regions.matrix @ (signs * ((np.array(patch) - 1) / 2)[:, np.newaxis])
    reach = np.abs(corners).max(axis=2)
    half = (regions.shape - 1) / 2
    assert (half >= reach - 1e-5).all()
    assert (half - 1 < reach).all()
    centres = start + (np.array(patch) - 1) / 2
    np.testing.assert_array_equal(regions.start + half, centres)


def test_a_turn_in_plane_leaves_the_first_axis_of_the_region_alone():
    rotation = np.array([[angle, 0, 0] for angle in np.linspace(-3, 3, 25)])
    regions = source_regions(np.zeros((25, 3), int), (20, 64, 48), rotation, np.ones(25))
    assert set(regions.shape[:, 0].tolist()) == {20}
