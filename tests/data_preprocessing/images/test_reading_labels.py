from pathlib import Path

import numpy as np
import pytest

from data_preprocessing.images.volume_io import load_label, read_image, read_label, same_grid
from tests.data_preprocessing.samples import (
    LPS,
    RAS,
    RAS_SHAPE,
    Layout,
    anatomy,
    every_layout,
    moved,
    patched,
    refused,
    save,
)


def image_and_label(folder: Path, layout: Layout, label: np.ndarray, affine: np.ndarray | None = None):
    image = save(folder / "image.nii.gz", layout.voxels(anatomy()), layout.affine())
    path = save(folder / "label.nii.gz", layout.voxels(label), layout.affine() if affine is None else affine)
    return read_image((image,)), path


@every_layout
def test_a_label_lies_on_its_image_in_every_orientation(tmp_path, layout):
    volume, path = image_and_label(tmp_path, layout, anatomy() % 5)
    np.testing.assert_array_equal(read_label(path, volume), volume.array[..., 0] % 5)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_label_numbers_are_unsigned_integers_whatever_the_file_holds(tmp_path, dtype):
    volume, path = image_and_label(tmp_path, RAS, anatomy(dtype=dtype) % 3)
    labels = read_label(path, volume)
    assert labels.dtype.kind == "u"
    np.testing.assert_array_equal(labels, anatomy().transpose(2, 1, 0) % 3)


@pytest.mark.parametrize("value", [0.9999999, 1.0000001, 0.9995, 1.0009])
def test_a_float_label_close_to_an_integer_is_rounded_not_cut(tmp_path, value):
    path = save(tmp_path / "label.nii.gz", np.full(RAS_SHAPE, value))
    assert np.unique(load_label(path)[0]) == [1]


def test_scaled_labels_past_24_bits_stay_apart(tmp_path):
    path = save(tmp_path / "label.nii", np.arange(60, dtype=np.int32).reshape(3, 4, 5) + 2**24)
    content = bytearray(path.read_bytes())
    content[112:120] = np.array([1, 1], "<f4").tobytes()  # slope and intercept
    path.write_bytes(content)
    assert np.unique(load_label(path)[0]).tolist() == list(range(2**24 + 1, 2**24 + 61))


@pytest.mark.parametrize("value", [0.5, 1.002, 2.998, -0.5])
def test_fractional_labels_are_refused(tmp_path, value):
    voxels = np.zeros(RAS_SHAPE, np.float32)
    voxels[1, 1, 1] = value
    path = save(tmp_path / "label.nii.gz", voxels)
    with refused(path, "fractional"):
        load_label(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_labels_that_are_no_numbers_are_refused(tmp_path, value):
    voxels = np.zeros(RAS_SHAPE, np.float32)
    voxels[1, 1, 1] = value
    path = save(tmp_path / "label.nii.gz", voxels)
    with refused(path, "NaN"):
        load_label(path)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.float32])
def test_negative_labels_are_refused(tmp_path, dtype):
    voxels = np.zeros(RAS_SHAPE, dtype)
    voxels[1, 1, 1] = -1
    path = save(tmp_path / "label.nii.gz", voxels)
    with refused(path, "negative label value -1"):
        load_label(path)


def test_a_label_with_slope_and_intercept_is_scaled(plain):
    patched(plain, 112, "<2f", 1, -1)
    np.testing.assert_array_equal(load_label(plain)[0], anatomy().transpose(2, 1, 0) - 1)


def test_a_label_of_another_shape_is_refused(tmp_path):
    volume, _ = image_and_label(tmp_path, RAS, anatomy())
    path = save(tmp_path / "label.nii.gz", anatomy()[:, :, 1:], RAS.affine())
    with refused(path, "shape"):
        read_label(path, volume)


def test_a_label_of_several_channels_is_refused(tmp_path):
    path = save(tmp_path / "label.nii.gz", np.ones((*RAS_SHAPE, 2), np.uint8))
    with refused(path, "one number a voxel"):
        load_label(path)


def test_a_label_of_a_single_time_point_is_read(tmp_path):
    path = save(tmp_path / "label.nii.gz", anatomy()[..., np.newaxis])
    np.testing.assert_array_equal(load_label(path)[0], anatomy().transpose(2, 1, 0))


@pytest.mark.parametrize(("row", "column"), [(0, 3), (2, 3), (0, 0), (0, 1)])
def test_a_label_affine_within_the_tolerance_is_accepted(tmp_path, row, column):
    volume, path = image_and_label(tmp_path, RAS, anatomy(), moved(RAS.affine(), row, column, 9e-4))
    np.testing.assert_array_equal(read_label(path, volume), anatomy().transpose(2, 1, 0))


@pytest.mark.parametrize(("row", "column"), [(0, 3), (2, 3), (0, 0), (0, 1)])
def test_a_label_affine_beyond_the_tolerance_is_refused(tmp_path, row, column):
    volume, path = image_and_label(tmp_path, RAS, anatomy(), moved(RAS.affine(), row, column, 2e-3))
    with refused(path, "affine"):
        read_label(path, volume)


def test_a_label_in_another_orientation_lies_where_its_affine_says(tmp_path):
    volume, path = image_and_label(tmp_path, RAS, anatomy(), LPS.affine())
    np.testing.assert_array_equal(read_label(path, volume), anatomy().transpose(2, 1, 0)[:, ::-1, ::-1])


def test_a_label_of_a_grid_turned_by_45_degrees_lies_on_its_image(tmp_path):
    # Which file axis counts as x flips at 45 degrees: a tiny difference between two affines must not flip one of them.
    def turned(degrees):
        angle = np.radians(degrees)
        affine = np.eye(4)
        affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        return affine

    voxels = anatomy((4, 4, 4))
    image = save(tmp_path / "image.nii.gz", voxels, turned(45.001))
    label = save(tmp_path / "label.nii.gz", voxels, turned(44.999))
    volume = read_image((image,))
    np.testing.assert_array_equal(read_label(label, volume), volume.array[..., 0])


def test_grids_are_the_same_within_a_thousandth_of_a_millimetre():
    affine = RAS.affine()
    assert same_grid(affine, moved(affine, 1, 3, -9e-4))
    assert not same_grid(affine, moved(affine, 1, 3, -1.1e-3))
