import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.nifti_file import load_nifti, nifti_name
from data_preprocessing.volume_io import (
    load_label,
    read_image,
    read_label,
    same_grid,
    volume_of,
    write_label,
    write_map,
)

from .samples import LAYOUTS, LPS, OBLIQUE, RAS, RAS_SHAPE, RAS_SPACING, Layout, anatomy, refused, save

every_layout = pytest.mark.parametrize("layout", LAYOUTS + OBLIQUE, ids=str)


def read(path: Path) -> np.ndarray:
    """The voxels of a file of one channel, `(z, y, x)`."""
    return read_image((path,)).array[..., 0]


def patched(path: Path, offset: int, form: str, *values: float) -> Path:
    """Overwrites header fields of an uncompressed NIfTI-1 file."""
    content = bytearray(path.read_bytes())
    struct.pack_into(form, content, offset, *values)
    path.write_bytes(content)
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return save(tmp_path / "case.nii", anatomy())


@pytest.fixture
def compressed(tmp_path: Path) -> Path:
    return save(tmp_path / "case.nii.gz", anatomy())


# Reading images


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


# Damaged files


@pytest.mark.parametrize("shape", [RAS_SHAPE, (9, 10, 11)])  # voxels shorter and longer than the header
@pytest.mark.parametrize("kept", [-1, -100, 353, 352, 348, 347, 200, 4, 1])
def test_truncated_nii_is_refused_naming_the_file(tmp_path, shape, kept):
    path = save(tmp_path / "case.nii", anatomy(shape))
    path.write_bytes(path.read_bytes()[:kept])
    with refused(path):
        load_nifti(path)


@pytest.mark.parametrize("load", [read, load_label])
def test_a_truncated_image_or_label_is_refused_naming_the_file(plain, load):
    plain.write_bytes(plain.read_bytes()[:-1])
    with refused(plain, "truncated"):
        load(plain)


def test_truncated_nifti2_is_refused_naming_the_file(tmp_path):
    path = save(tmp_path / "case.nii", anatomy(), kind=nib.Nifti2Image)
    path.write_bytes(path.read_bytes()[:-1])
    with refused(path, "truncated"):
        load_nifti(path)


@pytest.mark.parametrize("kept", [-1, -4, -8, -9, 60, 10, 2, 1])
def test_truncated_gzip_is_refused_naming_the_file(compressed, kept):
    compressed.write_bytes(compressed.read_bytes()[:kept])
    with refused(compressed):
        load_nifti(compressed)


@pytest.mark.parametrize("kept", [-1, 352, 348, 100, 0])
def test_gzip_of_a_truncated_file_is_refused_naming_the_file(compressed, kept):
    compressed.write_bytes(gzip.compress(gzip.decompress(compressed.read_bytes())[:kept]))
    with refused(compressed):
        load_nifti(compressed)


@pytest.mark.parametrize("position", [0.3, 0.5, 0.9])
def test_a_flipped_byte_in_gzip_is_refused_naming_the_file(compressed, position):
    content = bytearray(compressed.read_bytes())
    content[int(len(content) * position)] ^= 0xFF
    compressed.write_bytes(content)
    with refused(compressed, "truncated or damaged"):
        load_nifti(compressed)


@pytest.mark.parametrize("from_end", [1, 4, 5, 8])
def test_a_wrong_gzip_trailer_is_refused_naming_the_file(compressed, from_end):
    content = bytearray(compressed.read_bytes())
    content[-from_end] ^= 0xFF
    compressed.write_bytes(content)
    with refused(compressed, "truncated or damaged"):
        load_nifti(compressed)


@pytest.mark.parametrize("name", ["case.nii", "case.nii.gz"])
def test_an_empty_file_is_refused(tmp_path, name):
    (tmp_path / name).touch()
    with refused(tmp_path / name, "empty"):
        load_nifti(tmp_path / name)


def test_gzip_named_nii_is_refused_with_the_right_name(tmp_path, compressed):
    path = compressed.rename(tmp_path / "scan.nii")
    with refused(path, r"rename it to scan\.nii\.gz"):
        load_nifti(path)


def test_plain_nifti_named_gz_is_refused_with_the_right_name(tmp_path, plain):
    path = plain.rename(tmp_path / "scan.nii.gz")
    with refused(path, r"rename it to scan\.nii$"):
        load_nifti(path)


def test_gzip_within_gzip_is_refused(compressed):
    compressed.write_bytes(gzip.compress(compressed.read_bytes()))
    with refused(compressed):
        load_nifti(compressed)


@pytest.mark.parametrize("content", [b"no NIfTI at all", b"text\n" * 500, bytes(1000), b"\xff" * 1000])
def test_a_file_of_another_kind_is_refused_naming_the_file(tmp_path, content):
    (tmp_path / "case.nii").write_bytes(content)
    with refused(tmp_path / "case.nii"):
        read(tmp_path / "case.nii")


@pytest.mark.parametrize(
    ("offset", "form", "values"),
    [
        pytest.param(344, "<4s", (b"abc\0",), id="magic"),
        pytest.param(42, "<h", (0,), id="an axis of length 0"),
        pytest.param(42, "<h", (-3,), id="a negative length"),
        pytest.param(42, "<2h", (-3, -4), id="two negative lengths"),
        pytest.param(42, "<h", (3000,), id="longer than the file"),
        pytest.param(40, "<h", (0,), id="no axis"),
        pytest.param(40, "<h", (-1,), id="a negative number of axes"),
        pytest.param(40, "<h", (9,), id="too many axes"),
        pytest.param(70, "<h", (0,), id="no data type"),
        pytest.param(70, "<h", (999,), id="an unknown data type"),
        pytest.param(108, "<f", (1e9,), id="voxels beyond the end"),
        pytest.param(108, "<f", (np.inf,), id="voxels at infinity"),
        pytest.param(108, "<f", (np.nan,), id="voxels nowhere"),
        pytest.param(108, "<f", (40,), id="voxels within the header"),
        pytest.param(112, "<2f", (2, np.nan), id="a slope without an intercept"),
    ],
)
def test_a_header_that_cannot_be_is_refused_naming_the_file(plain, offset, form, values):
    patched(plain, offset, form, *values)
    with refused(plain):
        read(plain)


@pytest.mark.parametrize(
    "matrix", [np.zeros((3, 4)), np.full((3, 4), np.nan), np.diag([1, 1, 0, 1])[:3], np.diag([1, 1, np.inf, 1])[:3]]
)
def test_a_singular_or_infinite_affine_is_refused(plain, matrix):
    patched(plain, 280, "<12f", *matrix.reshape(-1))
    with refused(plain, "affine"):
        load_nifti(plain)


def test_two_parallel_columns_of_the_affine_are_refused(plain):
    patched(plain, 280, "<12f", 1, 2, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0)
    with refused(plain, "affine"):
        load_nifti(plain)


@pytest.mark.parametrize(("code", "size"), [(128, 3), (2304, 4), (32, 8), (1792, 16)], ids=["rgb", "rgba", "c8", "c16"])
def test_colour_and_complex_voxels_are_refused(plain, code, size):
    patched(plain, 70, "<2h", code, 8 * size)
    plain.write_bytes(plain.read_bytes() + bytes(size * anatomy().size))
    with refused(plain, "one number a voxel"):
        load_nifti(plain)


@pytest.mark.parametrize("shape", [(3, 4, 5, 1, 3), (3, 4, 5, 2, 2), (3, 4, 5, 1, 1, 2)])
def test_more_than_four_axes_are_refused(tmp_path, shape):
    path = save(tmp_path / "case.nii.gz", np.ones(shape, np.int16))
    with refused(path, f"{len(shape)} axes"):
        read_image((path,))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_image_with_nan_or_inf_is_refused(tmp_path, value):
    voxels = anatomy(dtype=np.float32)
    voxels[1, 2, 3] = value
    path = save(tmp_path / "case.nii.gz", voxels)
    with refused(path, "NaN or Inf"):
        read_image((path,))


def test_the_channel_file_that_has_nan_is_named(tmp_path):
    first = save(tmp_path / "case_0000.nii.gz", anatomy())
    second = save(tmp_path / "case_0001.nii.gz", np.full(RAS_SHAPE, np.nan, np.float32))
    with refused(second, "NaN or Inf"):
        read_image((first, second))


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


def test_an_image_in_memory_is_refused_as_its_file_is():
    for voxels, match in ((np.full(RAS_SHAPE, np.nan), "NaN"), (np.zeros(RAS_SHAPE, np.complex64), "complex")):
        with refused("my scan", match):
            volume_of(nib.Nifti1Image(voxels, np.eye(4)), "my scan")


def test_channel_files_of_differing_affine_are_refused(tmp_path):
    first = save(tmp_path / "case_0000.nii.gz", anatomy(), RAS.affine())
    second = save(tmp_path / "case_0001.nii.gz", anatomy(), LPS.affine())
    with refused(second, "grid"):
        read_image((first, second))


def test_channel_files_of_differing_shape_are_refused(tmp_path):
    first = save(tmp_path / "case_0000.nii.gz", anatomy())
    second = save(tmp_path / "case_0001.nii.gz", anatomy()[:, :, :-1])
    with refused(second, "grid"):
        read_image((first, second))


@pytest.mark.parametrize("name", ["none.nii", "none.nii.gz"])
def test_a_missing_file_is_refused(tmp_path, name):
    with refused(tmp_path / name, "no such file"):
        load_nifti(tmp_path / name)


def test_a_folder_is_refused(tmp_path):
    (tmp_path / "case.nii.gz").mkdir()
    with refused(tmp_path / "case.nii.gz", "cannot be read"):
        load_nifti(tmp_path / "case.nii.gz")


@pytest.mark.parametrize("name", ["case.mha", "case.gz", "case.nii.zip", "case", "case.img"])
def test_a_name_without_a_nifti_suffix_is_refused(name):
    with refused(name, "not a NIfTI file"):
        nifti_name(Path("folder") / name)


@pytest.mark.parametrize(
    ("name", "case"), [("a.nii", "a"), ("a.nii.gz", "a"), ("a.b.nii.gz", "a.b"), ("x.nii.nii", "x.nii")]
)
def test_a_case_is_named_after_its_file(name, case):
    assert nifti_name(Path("folder.nii.gz") / name) == case


# Reading labels


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


def moved(affine: np.ndarray, row: int, column: int, by: float) -> np.ndarray:
    affine = affine.copy()
    affine[row, column] += by
    return affine


@pytest.mark.parametrize(("row", "column"), [(0, 3), (2, 3), (0, 0), (0, 1)])
def test_a_label_affine_within_the_tolerance_is_accepted(tmp_path, row, column):
    volume, path = image_and_label(tmp_path, RAS, anatomy(), moved(RAS.affine(), row, column, 9e-4))
    np.testing.assert_array_equal(read_label(path, volume), anatomy().transpose(2, 1, 0))


@pytest.mark.parametrize(("row", "column"), [(0, 3), (2, 3), (0, 0), (0, 1)])
def test_a_label_affine_beyond_the_tolerance_is_refused(tmp_path, row, column):
    volume, path = image_and_label(tmp_path, RAS, anatomy(), moved(RAS.affine(), row, column, 2e-3))
    with refused(path, "affine"):
        read_label(path, volume)


def test_a_label_in_another_orientation_of_the_same_shape_is_refused(tmp_path):
    volume, path = image_and_label(tmp_path, RAS, anatomy(), LPS.affine())
    with refused(path, "affine"):
        read_label(path, volume)


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


# Writing labels


def differing_forms() -> nib.Nifti1Image:
    image = nib.Nifti1Image(LPS.voxels(anatomy()), None)
    image.set_sform(LPS.affine(), code=2)
    image.set_qform(np.diag([-9, 8, 7, 1]), code=1)
    return image


def coded(sform_code: int, qform_code: int) -> nib.Nifti1Image:
    image = nib.Nifti1Image(LPS.voxels(anatomy()), None)
    image.set_sform(LPS.affine(), code=sform_code)
    image.set_qform(LPS.affine(), code=qform_code)
    return image


def big_endian() -> nib.Nifti1Image:
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    return nib.Nifti1Image(anatomy(), LPS.affine(), header)


def of_units(space: str, time: str) -> nib.Nifti1Image:
    image = nib.Nifti1Image(anatomy(), LPS.affine())
    image.header.set_xyzt_units(space, time)
    return image


def scaled() -> nib.Nifti1Image:
    image = nib.Nifti1Image(anatomy().astype(np.float32) * 0.37 - 1024, LPS.affine())
    image.set_data_dtype(np.int16)
    return image


def sheared() -> nib.Nifti1Image:
    return nib.Nifti1Image(anatomy(), moved(RAS.affine(), 0, 1, 0.008))


def of(voxels: np.ndarray, layout: Layout, kind: type = nib.Nifti1Image):
    return kind(layout.voxels(voxels), layout.affine())


SOURCES = {
    "RAS": lambda: of(anatomy(), RAS),
    "LPS": lambda: of(anatomy(), LPS),
    "oblique": lambda: of(anatomy(), OBLIQUE[0]),
    "oblique, axes swapped": lambda: of(anatomy(), OBLIQUE[1]),
    "sform and qform differ": differing_forms,
    "sform only": lambda: coded(4, 0),
    "qform only": lambda: coded(0, 1),
    "neither coded": lambda: coded(0, 0),
    "4D channels": lambda: of(anatomy((*RAS_SHAPE, 3)), OBLIQUE[1]),
    "4D one time point": lambda: of(anatomy()[..., np.newaxis], LPS),
    "2D": lambda: nib.Nifti1Image(anatomy((4, 5)), LPS.affine()),
    "2D turned": lambda: nib.Nifti1Image(anatomy((4, 5)), OBLIQUE[1].affine()),
    "one slice": lambda: nib.Nifti1Image(anatomy((4, 5, 1)), LPS.affine()),
    "Nifti2": lambda: of(anatomy(), OBLIQUE[1], nib.Nifti2Image),
    "big-endian": big_endian,
    "micron": lambda: of_units("micron", "msec"),
    "unit unknown": lambda: of_units("unknown", "unknown"),
    "metre": lambda: of_units("meter", "sec"),
    "scaled float": scaled,
    "sheared": sheared,
}


@pytest.fixture(params=SOURCES, ids=str)
def source(request, tmp_path: Path) -> nib.Nifti1Image | nib.Nifti2Image:
    """A source as an image that was read hands it on."""
    nib.save(SOURCES[request.param](), tmp_path / "source.nii.gz")
    return read_image((tmp_path / "source.nii.gz",)).source


def written(folder: Path, source, labels: np.ndarray | None = None):
    if labels is None:
        shape = read_image((folder / "source.nii.gz",)).array.shape[:3]
        labels = np.random.default_rng(0).integers(0, 4, shape, np.uint8)
    write_label(folder / "label.nii.gz", labels, source)
    return labels, nib.load(folder / "label.nii.gz")


def test_a_written_label_reads_back_on_its_image(tmp_path, source):
    labels, _ = written(tmp_path, source)
    volume = read_image((tmp_path / "source.nii.gz",))
    np.testing.assert_array_equal(read_label(tmp_path / "label.nii.gz", volume), labels)


def test_a_written_label_has_the_shape_of_the_source_but_for_its_channels(tmp_path, source):
    _, label = written(tmp_path, source)
    assert label.shape == source.shape[:3] + (1,) * (source.shape[3:] == (1,))


def test_a_written_label_has_the_affine_of_the_source_to_the_bit(tmp_path, source):
    _, label = written(tmp_path, source)
    np.testing.assert_array_equal(label.affine, nib.load(tmp_path / "source.nii.gz").affine)


@pytest.mark.parametrize("form", ["sform", "qform"])
def test_a_written_label_has_both_forms_and_codes_of_the_source(tmp_path, source, form):
    _, label = written(tmp_path, source)
    original = nib.load(tmp_path / "source.nii.gz").header
    matrix, code = getattr(original, f"get_{form}")(coded=True)
    label_matrix, label_code = getattr(label.header, f"get_{form}")(coded=True)
    assert label_code == code
    if code:
        np.testing.assert_array_equal(label_matrix, matrix)
    else:
        assert label_matrix is None


def test_a_written_label_has_pixdim_and_units_of_the_source(tmp_path, source):
    _, label = written(tmp_path, source)
    original = nib.load(tmp_path / "source.nii.gz").header
    np.testing.assert_array_equal(label.header["pixdim"][:4], original["pixdim"][:4])
    assert label.header["xyzt_units"] == original["xyzt_units"]


def test_a_written_label_is_unscaled_integers_marked_as_a_label(tmp_path, source):
    _, label = written(tmp_path, source)
    assert label.get_data_dtype() == np.uint8
    assert (label.dataobj.slope, label.dataobj.inter) == (1, 0)
    assert label.header["intent_code"] == 1002
    assert (label.header["cal_min"], label.header["cal_max"]) == (0, 0)


def test_a_written_label_is_a_nifti_file_of_the_version_of_the_source(tmp_path, source):
    _, label = written(tmp_path, source)
    assert type(label) is type(source)


@every_layout
def test_every_orientation_gets_its_label_back_in_its_own(tmp_path, layout):
    path = save(tmp_path / "source.nii.gz", layout.voxels(anatomy()), layout.affine())
    volume = read_image((path,))
    write_label(tmp_path / "label.nii.gz", volume.array[..., 0].astype(np.uint8), volume.source)
    label = nib.load(tmp_path / "label.nii.gz")
    np.testing.assert_array_equal(np.asarray(label.dataobj), layout.voxels(anatomy()))
    np.testing.assert_array_equal(label.affine, nib.load(path).affine)


@pytest.mark.parametrize(("highest", "dtype"), [(0, np.uint8), (255, np.uint8), (256, np.uint16), (65535, np.uint16)])
def test_a_written_label_is_uint16_past_255(tmp_path, highest, dtype):
    source = load_nifti(save(tmp_path / "source.nii.gz", anatomy()))
    labels = np.zeros(RAS_SHAPE[::-1], np.int64)
    labels[2, 1, 0] = highest
    _, label = written(tmp_path, source, labels)
    assert label.get_data_dtype() == dtype
    assert label.get_fdata().max() == highest


@pytest.mark.parametrize("highest", [65536, 70001])
def test_label_numbers_past_65535_do_not_wrap_around(tmp_path, highest):
    source = load_nifti(save(tmp_path / "source.nii.gz", anatomy()))
    _, label = written(tmp_path, source, np.full(RAS_SHAPE[::-1], highest))
    assert np.unique(label.get_fdata()) == [highest]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
def test_labels_of_any_integer_type_are_written(tmp_path, dtype):
    source = load_nifti(save(tmp_path / "source.nii.gz", anatomy()))
    labels = (np.arange(60).reshape(RAS_SHAPE[::-1]) % 2).astype(dtype)
    written(tmp_path, source, labels)
    np.testing.assert_array_equal(load_label(tmp_path / "label.nii.gz")[0], labels)


def test_an_uncompressed_label_is_written_by_its_suffix(tmp_path):
    source = load_nifti(save(tmp_path / "source.nii.gz", anatomy()))
    write_label(tmp_path / "label.nii", np.ones(RAS_SHAPE[::-1], np.uint8), source)
    assert np.unique(load_label(tmp_path / "label.nii")[0]) == [1]


def test_writing_leaves_the_header_of_the_source_as_it_was(tmp_path):
    source = load_nifti(save(tmp_path / "source.nii.gz", anatomy()))
    before = source.header.binaryblock
    written(tmp_path, source, np.ones(RAS_SHAPE[::-1], np.uint8))
    assert source.header.binaryblock == before


def test_a_failed_write_leaves_no_file(tmp_path):
    source = load_nifti(save(tmp_path / "source.nii.gz", anatomy()))
    with pytest.raises(ValueError, match="reshape"):
        write_label(tmp_path / "label.nii.gz", np.ones((2, 2, 2), np.uint8), source)
    assert [path.name for path in tmp_path.iterdir()] == ["source.nii.gz"]


@pytest.mark.parametrize("shape", [(), (3,)])
def test_a_map_lies_on_its_image_in_its_own_type(tmp_path, source, shape):
    volume = read_image((tmp_path / "source.nii.gz",))
    values = np.random.default_rng(0).random((*volume.array.shape[:3], *shape)).astype(np.float32)
    write_map(tmp_path / "map.nii.gz", values, volume.source)
    found = nib.load(tmp_path / "map.nii.gz")
    original = nib.load(tmp_path / "source.nii.gz")
    assert found.get_data_dtype().newbyteorder("=") == np.float32
    np.testing.assert_array_equal(found.affine, original.affine)
    assert [int(found.header[f"{form}form_code"]) for form in "sq"] == [
        int(original.header[f"{form}form_code"]) for form in "sq"
    ]
    read = read_image((tmp_path / "map.nii.gz",))
    np.testing.assert_array_equal(read.array, values if shape else values[..., np.newaxis])


def test_a_map_of_integers_is_scaled_by_its_unit_and_passed_on_from_the_disk(tmp_path):
    source = load_nifti(save(tmp_path / "source.nii.gz", OBLIQUE[1].voxels(anatomy()), OBLIQUE[1].affine()))
    on_disk = np.memmap(tmp_path / "values", np.uint16, "w+", shape=(2, *RAS_SHAPE[::-1]))
    on_disk[:] = np.random.default_rng(0).integers(0, 65536, on_disk.shape)
    write_map(tmp_path / "map.nii.gz", np.moveaxis(on_disk, 0, -1), source, unit=1 / 65535)
    found = nib.load(tmp_path / "map.nii.gz")
    assert found.header["cal_max"] == 1
    np.testing.assert_array_equal(found.dataobj.get_unscaled(), OBLIQUE[1].voxels(on_disk.transpose(3, 2, 1, 0)))
    assert found.get_fdata().max() <= 1 + 1e-6
