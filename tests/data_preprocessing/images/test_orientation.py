import itertools

import numpy as np
import pytest

from data_preprocessing.images.orientation import from_ras_zyx, ras_affine, spacing_zyx, to_ras_zyx
from tests.data_preprocessing.samples import LAYOUTS, OBLIQUE, RAS_SHAPE, RAS_SPACING, anatomy, every_layout


def test_the_samples_cover_all_48_orientations():
    rotations = {tuple(np.sign(layout.affine()[:3, :3]).astype(int).reshape(-1).tolist()) for layout in LAYOUTS}
    expected = {
        tuple((np.eye(3, dtype=int)[list(axes)] * signs).reshape(-1).tolist())
        for axes in itertools.permutations(range(3))
        for signs in itertools.product((1, -1), repeat=3)
    }
    assert rotations == expected


@every_layout
def test_every_orientation_gives_the_same_ras_volume(layout):
    oriented = to_ras_zyx(layout.voxels(anatomy()), layout.affine())
    np.testing.assert_array_equal(oriented, anatomy().transpose(2, 1, 0))


@every_layout
def test_there_and_back_gives_the_file_voxels_exactly(layout):
    voxels = layout.voxels(anatomy())
    back = from_ras_zyx(to_ras_zyx(voxels, layout.affine()), layout.affine())
    np.testing.assert_array_equal(back, voxels)


@every_layout
def test_the_channel_axis_stays_last(layout):
    ras = anatomy((*RAS_SHAPE, 2))
    voxels = layout.voxels(ras)
    oriented = to_ras_zyx(voxels, layout.affine())
    np.testing.assert_array_equal(oriented, ras.transpose(2, 1, 0, 3))
    np.testing.assert_array_equal(from_ras_zyx(oriented, layout.affine()), voxels)


@every_layout
def test_a_marked_voxel_keeps_its_world_position(layout):
    voxels = layout.voxels(anatomy())
    i, j, k = (int(index) for index in np.argwhere(voxels == 42)[0])
    z, y, x = (int(index) for index in np.argwhere(to_ras_zyx(voxels, layout.affine()) == 42)[0])
    before = layout.affine() @ (i, j, k, 1)
    after = ras_affine(layout.affine(), voxels.shape) @ (x, y, z, 1)
    np.testing.assert_allclose(after, before, atol=1e-9)


@every_layout
def test_the_axes_of_the_ras_volume_run_to_the_right_front_and_top(layout):
    rotation = ras_affine(layout.affine(), layout.voxels(anatomy()).shape)[:3, :3]
    assert (np.diag(rotation) > 0).all()
    assert np.argmax(np.abs(rotation), axis=0).tolist() == [0, 1, 2]


@every_layout
def test_spacing_is_that_of_each_axis_of_the_ras_volume(layout):
    x, y, z = RAS_SPACING
    assert spacing_zyx(layout.affine()) == pytest.approx((z, y, x), abs=1e-12)


def test_reorienting_does_not_copy():
    voxels = anatomy()
    layout = OBLIQUE[1]
    assert np.shares_memory(to_ras_zyx(layout.voxels(voxels), layout.affine()), voxels)
