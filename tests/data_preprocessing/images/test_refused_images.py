import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.images.nifti_file import load_nifti, nifti_name
from data_preprocessing.images.volume_io import load_label, read_image, volume_of
from tests.data_preprocessing.samples import LPS, RAS, RAS_SHAPE, anatomy, moved, patched, read, refused, save


@pytest.fixture
def compressed(tmp_path: Path) -> Path:
    return save(tmp_path / "case.nii.gz", anatomy())


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


def test_an_image_in_memory_is_refused_as_its_file_is():
    for voxels, match in ((np.full(RAS_SHAPE, np.nan), "NaN"), (np.zeros(RAS_SHAPE, np.complex64), "complex")):
        with refused("my scan", match):
            volume_of(nib.Nifti1Image(voxels, np.eye(4)), "my scan")


def test_channel_files_of_differing_affine_are_refused(tmp_path):
    first = save(tmp_path / "case_0000.nii.gz", anatomy(), RAS.affine())
    second = save(tmp_path / "case_0001.nii.gz", anatomy(), moved(LPS.affine(), 1, 3, 0.1))
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
