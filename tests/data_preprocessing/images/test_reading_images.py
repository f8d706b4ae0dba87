from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.images.nifti_file import nifti_name
from data_preprocessing.images.volume_io import read_image, volume_of
from tests.data_preprocessing.samples import (
    LPS,
    OBLIQUE,
    RAS,
    RAS_SHAPE,
    RAS_SPACING,
    anatomy,
    every_layout,
    patched,
    read,
    save,
)


@every_layout
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_every_orientation_reads_as_the_same_anatomy(tmp_path, layout, suffix):
    path = save(tmp_path / f"case{suffix}", layout.voxels(anatomy()), layout.affine())
    volume = read_image((path,))
    np.testing.assert_array_equal(volume.array[..., 0], anatomy().transpose(2, 1, 0))
    assert volume.spacing == pytest.approx(RAS_SPACING[::-1], abs=1e-6)


def test_an_image_is_contiguous_float32_with_the_channel_last(plain):
    array = read_image((plain,)).array
    assert (array.shape, array.dtype) == ((*RAS_SHAPE[::-1], 1), np.float32)
    assert array.flags.c_contiguous


@pytest.mark.parametrize("layout", [RAS, LPS, *OBLIQUE], ids=str)
def test_the_last_axis_of_a_4d_file_is_its_channels(tmp_path, layout):
    channels = anatomy((*RAS_SHAPE, 3))
    path = save(tmp_path / "case.nii.gz", layout.voxels(channels), layout.affine())
    np.testing.assert_array_equal(read_image((path,)).array, channels.transpose(2, 1, 0, 3))


def test_a_single_time_point_is_one_channel(tmp_path):
    path = save(tmp_path / "case.nii.gz", anatomy()[..., np.newaxis])
    np.testing.assert_array_equal(read(path), anatomy().transpose(2, 1, 0))


def test_a_2d_file_is_one_slice(tmp_path):
    path = save(tmp_path / "case.nii.gz", anatomy((4, 5)))
    np.testing.assert_array_equal(read(path), anatomy((4, 5)).T[np.newaxis])


def test_one_file_a_channel_is_joined_in_the_order_given(tmp_path):
    paths = tuple(save(tmp_path / f"case_000{n}.nii.gz", anatomy() + 1000 * n) for n in range(3))
    array = read_image(paths).array
    for channel in range(3):
        np.testing.assert_array_equal(array[..., channel], anatomy().transpose(2, 1, 0) + 1000 * channel)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_both_versions_read_in_both_byte_orders(tmp_path, kind, endianness, suffix):
    path = tmp_path / f"case{suffix}"
    header = kind.header_class(endianness=endianness)
    header.set_data_dtype(np.int16)
    nib.save(kind(anatomy(), np.diag([*RAS_SPACING, 1]), header), path)
    assert nib.load(path).header.endianness == endianness
    np.testing.assert_array_equal(read(path), anatomy().transpose(2, 1, 0))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32, np.float32, np.float64])
def test_every_plain_number_type_is_read(tmp_path, dtype):
    path = save(tmp_path / "case.nii.gz", anatomy(dtype=dtype))
    np.testing.assert_array_equal(read(path), anatomy().transpose(2, 1, 0))


@pytest.mark.parametrize(("dtype", "value"), [(np.uint16, 65535), (np.int32, 70001), (np.int32, -70001)])
def test_values_beyond_int16_are_kept(tmp_path, dtype, value):
    path = save(tmp_path / "case.nii.gz", np.full(RAS_SHAPE, value, dtype))
    assert np.unique(read(path)) == [value]


@pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (2, -1024), (0.0123, 3.4), (-1, 0)])
def test_slope_and_intercept_are_applied(plain, slope, intercept):
    patched(plain, 112, "<2f", slope, intercept)
    np.testing.assert_allclose(read(plain), anatomy().transpose(2, 1, 0) * slope + intercept, rtol=1e-6)


@pytest.mark.parametrize(("slope", "intercept"), [(0, 0), (0, 5), (np.nan, np.nan), (np.nan, 0), (np.nan, 7)])
def test_without_a_valid_slope_voxels_stay_unscaled(plain, slope, intercept):
    patched(plain, 112, "<2f", slope, intercept)
    np.testing.assert_array_equal(read(plain), anatomy().transpose(2, 1, 0))


def test_spacing_comes_from_the_affine_where_pixdim_disagrees(plain):
    patched(plain, 80, "<3f", 9, 9, 9)
    assert read_image((plain,)).spacing == pytest.approx(RAS_SPACING[::-1])


@pytest.mark.parametrize("pixdim", [0, np.nan, -1])
def test_an_odd_pixdim_does_not_matter_where_the_affine_is_valid(plain, pixdim):
    patched(plain, 80, "<3f", pixdim, pixdim, pixdim)
    volume = read_image((plain,))
    assert volume.spacing == pytest.approx(RAS_SPACING[::-1])
    np.testing.assert_array_equal(volume.array[..., 0], anatomy().transpose(2, 1, 0))


def test_the_sform_is_used_where_the_qform_differs(tmp_path):
    image = nib.Nifti1Image(LPS.voxels(anatomy()), None)
    image.set_sform(LPS.affine(), code=2)
    image.set_qform(np.diag([9, 8, 7, 1]), code=1)
    nib.save(image, tmp_path / "case.nii.gz")
    np.testing.assert_array_equal(read(tmp_path / "case.nii.gz"), anatomy().transpose(2, 1, 0))


def test_the_qform_is_used_where_there_is_no_sform(tmp_path):
    image = nib.Nifti1Image(LPS.voxels(anatomy()), None)
    image.set_qform(LPS.affine(), code=1)
    image.set_sform(None, code=0)
    nib.save(image, tmp_path / "case.nii.gz")
    np.testing.assert_array_equal(read(tmp_path / "case.nii.gz"), anatomy().transpose(2, 1, 0))


@pytest.mark.parametrize("extra", [b"x", bytes(1000)])
def test_bytes_after_the_voxels_do_not_matter(plain, extra):
    plain.write_bytes(plain.read_bytes() + extra)
    np.testing.assert_array_equal(read(plain), anatomy().transpose(2, 1, 0))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_are_kept_where_they_are_asked_for(tmp_path, value):
    voxels = anatomy(dtype=np.float32)
    voxels[1, 2, 3] = value
    path = save(tmp_path / "case.nii.gz", voxels)
    np.testing.assert_array_equal(read_image((path,), finite=False).array[..., 0], voxels.transpose(2, 1, 0))


def test_what_is_odd_about_a_grid_comes_with_the_image(plain):
    assert read_image((plain,)).findings == ()
    patched(plain, 80, "<3f", 9, 9, 9)
    (finding,) = read_image((plain,)).findings
    assert (finding.level, finding.file) == ("warning", str(plain))
    assert "its pixdim says 9 x 9 x 9 mm" in finding.problem


@every_layout
def test_an_image_in_memory_reads_as_its_file_does(tmp_path, layout):
    path = save(tmp_path / "case.nii.gz", layout.voxels(anatomy()), layout.affine())
    from_file = read_image((path,))
    for image in (nib.load(path), nib.Nifti1Image(layout.voxels(anatomy()), layout.affine())):
        volume = volume_of(image, "image")
        np.testing.assert_array_equal(volume.array, from_file.array)
        assert volume.spacing == pytest.approx(from_file.spacing)
        assert volume.source.shape == from_file.source.shape


@pytest.mark.parametrize(
    ("name", "case"), [("a.nii", "a"), ("a.nii.gz", "a"), ("a.b.nii.gz", "a.b"), ("x.nii.nii", "x.nii")]
)
def test_a_case_is_named_after_its_file(name, case):
    assert nifti_name(Path("folder.nii.gz") / name) == case
