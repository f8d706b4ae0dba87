"""Headers that other programs write: read as ITK's NIfTI reader, which is the reference library's, reads them."""

import struct

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from data_preprocessing.images.checks.finding import Row, Unusable
from data_preprocessing.images.image_file import load_image, read_header
from data_preprocessing.images.volume_io import label_image, load_label, read_image, read_label
from tests.data_preprocessing.check_samples import write_sample
from tests.data_preprocessing.samples import RAS_SHAPE, anatomy, patched, refused, save

SPACING = (0.5, 1.5, 2.5)
QUATERNION, QFAC, CODES, OFFSET, DIM, SIZEOF, BITPIX, MAGIC = 256, 76, 252, 108, 40, 0, 72, 344
VOXELS = anatomy()
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write(path, kind=nib.Nifti1Image, endianness="<", voxels=VOXELS):
    """A file with a turned qform and no sform."""
    header = kind.header_class(endianness=endianness)
    header.set_data_dtype(voxels.dtype)
    image = kind(voxels, None, header)
    image.set_sform(None, code=0)
    turn = nib.quaternions.quat2mat([0.96, 0.0, 0.0, 0.28])
    image.set_qform(nib.affines.from_matvec(turn * SPACING, (-7, 11, 3)), code=1)
    nib.save(image, path)
    return path


def itk_affine(path):
    image = SimpleITK.ReadImage(str(path))
    matrix = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    return LPS @ nib.affines.from_matvec(matrix, image.GetOrigin()), SimpleITK.GetArrayFromImage(image).T


def check_as_itk(path):
    affine, voxels = itk_affine(path)
    image = load_image(path)
    np.testing.assert_allclose(image.affine, affine, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(image.dataobj).reshape(voxels.shape), voxels)
    np.testing.assert_array_equal(voxels, VOXELS)
    assert read_header(path).get_data_shape() == image.shape
    return image


def quaternion_of_length(length, b=0.1, c=0.7):
    return (length * b, length * c, length * np.sqrt(1 - b * b - c * c))


@pytest.mark.parametrize("excess", [0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 4e-3])
@pytest.mark.parametrize("endianness", "<>")
def test_a_quaternion_a_hair_too_long_is_a_rotation(tmp_path, excess, endianness):
    path = patched(
        write(tmp_path / "case.nii", endianness=endianness), QUATERNION, f"{endianness}3f",
        *quaternion_of_length(1 + excess),
    )  # fmt: skip
    image = check_as_itk(path)
    label = label_image(np.ones(read_image((path,)).array.shape[:3], np.uint8), image)
    np.testing.assert_allclose(label.affine, image.affine, atol=1e-5)
    nib.save(label, tmp_path / "label.nii")
    np.testing.assert_allclose(itk_affine(tmp_path / "label.nii")[0], itk_affine(path)[0], atol=1e-4)


def test_a_small_turn_stays_what_it_is(tmp_path):
    path = patched(write(tmp_path / "case.nii"), QUATERNION, "<3f", 0.01, 0.02, 0.03)
    check_as_itk(path)


@pytest.mark.parametrize("length", [1.05, 2, 1e20])
def test_a_qform_that_is_no_rotation_is_refused(tmp_path, length):
    path = patched(write(tmp_path / "case.nii"), QUATERNION, "<3f", *quaternion_of_length(length))
    with pytest.raises(Unusable, match="qform") as caught:
        load_image(path)
    assert caught.value.finding.row == Row.SINGULAR_AFFINE


def test_a_qform_that_is_not_used_may_be_anything(tmp_path):
    path = save(tmp_path / "case.nii", anatomy())
    expected = load_image(path).affine
    patched(path, QUATERNION, "<3f", 5, 6, 7)
    patched(path, CODES, "<h", 1)
    np.testing.assert_array_equal(load_image(path).affine, expected)


@pytest.mark.parametrize("qfac", [1, -1, 0, -2, 3, np.nan])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_the_side_of_the_slices_is_the_sign_of_qfac(tmp_path, qfac, kind):
    path = write(tmp_path / "case.nii", kind)
    offset, form = (QFAC, "<f") if kind is nib.Nifti1Image else (104, "<d")
    expected = nib.load(patched(path, offset, form, -1 if qfac < 0 else 1)).affine
    patched(path, offset, form, qfac)
    np.testing.assert_allclose(load_image(path).affine, expected, atol=1e-4)
    if kind is nib.Nifti1Image:
        check_as_itk(path)


@pytest.mark.parametrize("code", [1, 5, 6, 77])
def test_any_code_over_0_is_set(tmp_path, code):
    path = patched(write(tmp_path / "case.nii"), CODES, "<h", code)
    check_as_itk(path)
    other = save(tmp_path / "sform.nii", anatomy(), np.diag([-2.0, 3, 4, 1]))
    expected = load_image(other).affine
    np.testing.assert_array_equal(load_image(patched(other, CODES, "<2h", 0, code)).affine, expected)


@pytest.mark.parametrize("axes", [4, 5, 6, 7])
def test_axes_of_length_1_at_the_end_do_not_matter(tmp_path, axes):
    path = patched(write(tmp_path / "case.nii"), DIM, "<8h", axes, *RAS_SHAPE, 1, 1, 1, 1)
    np.testing.assert_array_equal(read_image((path,)).array[..., 0], VOXELS.transpose(2, 1, 0))
    np.testing.assert_array_equal(load_label(path)[0], VOXELS.transpose(2, 1, 0))
    np.testing.assert_array_equal(read_label(path, read_image((path,))), VOXELS.transpose(2, 1, 0))
    check_as_itk(path)


@pytest.mark.parametrize("axes", [1, 2])
def test_fewer_axes_than_three_count_1(tmp_path, axes):
    path = write(tmp_path / "case.nii", voxels=VOXELS[:, :1, :1] if axes == 1 else VOXELS[:, :, :1])
    patched(path, DIM, "<h", axes)
    expected = load_image(path).dataobj
    np.testing.assert_array_equal(read_image((path,)).array[..., 0].T.ravel(), np.asarray(expected).ravel())


def test_channels_may_be_followed_by_axes_of_length_1(tmp_path):
    channels = anatomy((*RAS_SHAPE, 2))
    path = save(tmp_path / "case.nii", channels[..., np.newaxis])
    np.testing.assert_array_equal(read_image((path,)).array, channels.transpose(2, 1, 0, 3))


def test_a_data_set_of_five_axes_is_checked_as_it_is_read(tmp_path):
    sample = write_sample(tmp_path)
    for path in (sample.image(), sample.label()):
        patched(path, DIM, "<8h", 5, 5, 6, 7, 1, 1, 1, 1)
    assert sample.check() == []


def with_extension(path, content, offset):
    before = path.read_bytes()
    path.write_bytes(before[:348] + b"\1\0\0\0" + content + before[352:])
    return patched(path, OFFSET, "<f", offset)


VALID = struct.pack("<2i", 32, 4) + b"comment".ljust(24, b"\0")


@pytest.mark.parametrize(
    "content",
    [
        bytes(16),
        bytes(160),
        struct.pack("<2i", 0, 6).ljust(16, b"x"),
        struct.pack("<2i", -16, 6).ljust(32, b"x"),
        struct.pack("<2i", 4000, 6).ljust(16, b"x"),
        struct.pack("<2i", 16, 2) + b"\xff" * 8,
        VALID + bytes(16),
        VALID + bytes(8),
        VALID,
    ],
    ids=["zeros", "many zeros", "size 0", "negative", "beyond", "no DICOM", "then zeros", "then padding", "valid"],
)
def test_an_extension_that_is_none_does_not_matter(tmp_path, content):
    path = write(tmp_path / "case.nii")
    image = check_as_itk(with_extension(path, content, 352 + len(content)))
    nib.save(label_image(np.ones(VOXELS.T.shape, np.uint8), image), tmp_path / "label.nii")
    np.testing.assert_array_equal(itk_affine(tmp_path / "label.nii")[1], 1)


def test_a_valid_extension_is_kept(tmp_path):
    path = with_extension(write(tmp_path / "case.nii"), VALID, 352 + len(VALID))
    assert [each.content.rstrip(b"\0") for each in load_image(path).header.extensions] == [b"comment"]


def test_an_extension_flag_without_room_for_one_does_not_matter(tmp_path):
    check_as_itk(with_extension(write(tmp_path / "case.nii"), b"", 352))


@pytest.mark.parametrize("filler", [1, 4, 8, 15, 16, 1000])
def test_voxels_may_begin_at_any_byte(tmp_path, filler):
    path = write(tmp_path / "case.nii")
    content = path.read_bytes()
    path.write_bytes(content[:352] + bytes(filler) + content[352:])
    check_as_itk(patched(path, OFFSET, "<f", 352 + filler))


@pytest.mark.parametrize("stated", [0, 348])
def test_voxels_right_behind_the_header_are_found_by_the_length_of_the_file(tmp_path, stated):
    path = write(tmp_path / "case.nii")
    content = path.read_bytes()
    path.write_bytes(content[:348] + content[352:])
    check_as_itk(patched(path, OFFSET, "<f", stated))


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_an_unset_offset_is_found_by_the_length_of_the_file(tmp_path, kind):
    path = write(tmp_path / "case.nii", kind)
    expected = np.asarray(load_image(path).dataobj)
    patched(path, *((OFFSET, "<f") if kind is nib.Nifti1Image else (168, "<q")), 0)
    np.testing.assert_array_equal(load_image(path).dataobj, expected)


@pytest.mark.parametrize("extra", [1, 7, 100])
@pytest.mark.parametrize("stated", [0, 348, 351, 100])
def test_an_offset_within_the_header_is_refused_where_the_length_does_not_tell(tmp_path, stated, extra):
    path = patched(write(tmp_path / "case.nii"), OFFSET, "<f", stated)
    path.write_bytes(path.read_bytes() + bytes(extra))
    with refused(path):
        load_image(path)


@pytest.mark.parametrize("size", [0, 540, 1543569408, -1])
def test_the_stated_size_of_the_header_does_not_matter(tmp_path, size):
    path = write(tmp_path / "case.nii")
    if size != 540:
        check_as_itk(patched(path, SIZEOF, "<i", size))
    big = write(tmp_path / "big.nii", endianness=">")
    check_as_itk(patched(big, SIZEOF, "<i", 348))  # of the other byte order than the rest


@pytest.mark.parametrize("axes", [8, 9, 300, -3])
def test_more_axes_than_there_can_be_are_refused(tmp_path, axes):
    path = patched(write(tmp_path / "case.nii"), DIM, "<h", axes)
    with refused(path):
        load_image(path)


@pytest.mark.parametrize(("bits", "dtype"), [(32, np.int16), (8, np.int16), (16, np.float32)])
def test_bits_that_contradict_the_type_are_refused_where_the_length_agrees_with_them(tmp_path, bits, dtype):
    path = write(tmp_path / "case.nii", voxels=VOXELS.astype(dtype))
    patched(path, BITPIX, "<h", bits)
    check_as_itk(path)  # the length agrees with the type
    path.write_bytes(path.read_bytes()[:352] + bytes(VOXELS.size * bits // 8))
    with refused(path):
        load_image(path)


@pytest.mark.parametrize("code", [1536, 2048, 1792, 32, 128, 2304, 1, 255, 0])
def test_what_is_not_one_real_number_a_voxel_is_refused(tmp_path, code):
    path = patched(write(tmp_path / "case.nii"), 70, "<h", code)
    path.write_bytes(path.read_bytes() + bytes(32 * VOXELS.size))
    with refused(path, "voxels"):
        load_image(path)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_numbers_of_64_bits_are_read(tmp_path, dtype):
    path = tmp_path / "case.nii"
    nib.save(nib.Nifti1Image(VOXELS.astype(dtype) + 70000, np.eye(4), dtype=dtype), path)
    np.testing.assert_array_equal(read_image((path,)).array[..., 0], VOXELS.transpose(2, 1, 0) + 70000.0)


@pytest.mark.parametrize("intent", [1001, 1002, 1003, 1007, 2, -5])
def test_an_intent_does_not_matter(tmp_path, intent):
    check_as_itk(patched(write(tmp_path / "case.nii"), 68, "<h", intent))


@pytest.mark.parametrize(("slope", "intercept"), [(0, 5), (np.inf, 3), (-np.inf, 0), (np.nan, 1)])
def test_a_slope_that_is_none_leaves_the_numbers(tmp_path, slope, intercept):
    path = patched(write(tmp_path / "case.nii"), 112, "<2f", slope, intercept)
    np.testing.assert_array_equal(read_image((path,)).array[..., 0], VOXELS.transpose(2, 1, 0))


@pytest.mark.parametrize("name", ["case.hdr", "case.img"])
def test_a_file_of_a_pair_is_refused(tmp_path, name):
    nib.save(nib.Nifti1Pair(VOXELS, np.eye(4)), tmp_path / "case.img")
    with refused(tmp_path / name, r"\.nii\.gz"):
        load_image(tmp_path / name)
    renamed = (tmp_path / name).rename(tmp_path / "other.nii")
    with refused(renamed):
        load_image(renamed)
