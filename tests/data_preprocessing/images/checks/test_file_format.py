import gzip
import pickle
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.dataset.dataset import load_dataset
from data_preprocessing.images.checks.finding import Finding, Row, Unusable
from data_preprocessing.images.volume_io import read_image, read_label
from tests.data_preprocessing.check_samples import (
    AFFINE,
    SHAPE,
    Sample,
    intensities,
    numbers,
    patch,
    said,
    write_sample,
)
from tests.data_preprocessing.samples import refused, save


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return write_sample(tmp_path)


def cut(path: Path, by: int) -> Path:
    path.write_bytes(path.read_bytes()[:-by])
    return path


def flip(path: Path, position: int) -> Path:
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(content)
    return path


def compress(path: Path, name: str = "c.nii.gz") -> Path:
    compressed = path.with_name(name)
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return compressed


def emptied(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def patched(path: Path, field: str, *values: object, first: int = 0) -> Path:
    patch(path, field, *values, first=first)
    return path


def with_intercept_nan(path: Path) -> Path:
    return patched(patched(path, "scl_slope", 2), "scl_inter", np.nan)


def of_type(path: Path, code: int) -> Path:
    path.write_bytes(path.read_bytes() + bytes(16 * np.prod(SHAPE)))  # enough voxels of any type
    return patched(path, "datatype", code)


def text(path: Path) -> Path:
    path.write_text("404: not found")
    return path


UNREADABLE = [
    (Row.GZIP_TRUNCATED, lambda path: cut(compress(path), 1), "truncated"),
    (Row.GZIP_TRUNCATED, lambda path: cut(compress(path), 30), "truncated"),
    (Row.GZIP_DAMAGED, lambda path: flip(compress(path), -30), "damaged"),
    (Row.GZIP_DAMAGED, lambda path: flip(compress(path), -6), "damaged"),  # in the checksum
    (Row.GZIP_DAMAGED, lambda path: flip(compress(path), -1), "damaged"),  # in the length
    (Row.SHORTER_THAN_ITS_HEADER_SAYS, lambda path: cut(path, 1), "truncated"),
    (Row.SHORTER_THAN_ITS_HEADER_SAYS, lambda path: compress(cut(path, 1)), "truncated"),
    (Row.EMPTY_FILE, emptied, "empty"),
    (Row.WRONG_SUFFIX, lambda path: compress(path).rename(path), r"rename it to c\.nii\.gz"),
    (Row.WRONG_SUFFIX, lambda path: path.rename(path.with_name("c.nii.gz")), r"rename it to c\.nii$"),
    (Row.NOT_NIFTI, lambda path: text(path), "neither gzip nor a NIfTI header"),
    (Row.NOT_NIFTI, lambda path: text(path).rename(path.with_name("c.nii.gz")), "neither gzip nor a NIfTI header"),
    (Row.NOT_NIFTI, lambda path: patched(path, "magic", b"abc"), "not a valid NIfTI"),
    (Row.NOT_NIFTI, lambda path: patched(path, "magic", b"ni1"), "not a valid NIfTI"),  # one of two files
    (Row.NOT_NIFTI, lambda path: patched(path, "vox_offset", np.inf), "not a valid NIfTI"),
    (Row.NO_VOXELS, lambda path: patched(path, "dim", 0, first=2), r"no voxels, shape \(5, 0, 7\)"),
    (Row.NO_VOXELS, lambda path: patched(path, "dim", -6, first=2), r"no voxels, shape \(5, -6, 7\)"),
    (Row.INVALID_INTERCEPT, with_intercept_nan, "scl_inter is nan"),
    (Row.VOXEL_TYPE, lambda path: of_type(path, 128), "RGB voxels"),
    (Row.VOXEL_TYPE, lambda path: of_type(path, 2304), "RGBA voxels"),
    (Row.VOXEL_TYPE, lambda path: of_type(path, 32), "complex64 voxels"),
    (Row.VOXEL_TYPE, lambda path: of_type(path, 1792), "complex128 voxels"),
    (Row.VOXEL_TYPE, lambda path: of_type(path, 999), "type 999 voxels"),
]
IDS = [f"{row.name}-{number}" for number, (row, _, _) in enumerate(UNREADABLE)]


def relist(sample: Sample, part: str, name: str) -> None:
    """Lists the broken file, which may have another name now."""
    entries = [{"image": f"imagesTr/{case}.nii", "label": f"labelsTr/{case}.nii"} for case in "abde"]
    broken = {"image": "imagesTr/c.nii", "label": "labelsTr/c.nii"}
    broken[part] = f"{Path(broken[part]).parent}/{name}"
    sample.describe(training=[*entries, broken])


def check_one_error(sample: Sample, row: Row, path: Path) -> Finding:
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.case, finding.file) == ("error", row, "c", str(path))
    return finding


@pytest.mark.parametrize(("row", "spoil", "match"), UNREADABLE, ids=IDS)
def test_an_image_that_cannot_be_read_is_one_error_and_refused_in_the_same_words(sample, row, spoil, match):
    path = spoil(sample.image())
    relist(sample, "image", path.name)
    finding = check_one_error(sample, row, path)
    with refused(said(finding), match):
        read_image((path,))


@pytest.mark.parametrize(("row", "spoil", "match"), UNREADABLE, ids=IDS)
def test_a_label_that_cannot_be_read_is_one_error_and_refused_in_the_same_words(sample, row, spoil, match):
    path = spoil(sample.label())
    relist(sample, "label", path.name)
    finding = check_one_error(sample, row, path)
    with refused(said(finding), match):
        read_label(path, read_image((sample.image(),)))


@pytest.mark.parametrize("part", ["image", "label"])
def test_a_file_of_another_format_is_one_error_and_refused(sample, part):
    path = getattr(sample, part)().with_suffix(".gif")
    path.write_bytes(b"GIF89a")
    relist(sample, part, path.name)
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.file) == ("error", Row.NOT_NIFTI, str(path))
    with refused(said(finding), "give .nii.gz .nii .mgz"):
        load_dataset(sample.data, sample.folder.name)


def test_five_axes_are_one_error_and_refused_in_the_same_words(sample):
    path = save(sample.image(), intensities((*SHAPE, 1, 3)), AFFINE)
    finding = check_one_error(sample, Row.TOO_MANY_AXES, path)
    with refused(said(finding), "5 axes"):
        read_image((path,))


@pytest.mark.parametrize("extra", [b"x", b"\0" * 700], ids=["a letter", "zeros"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "within gzip"])
def test_bytes_after_the_voxels_are_handled(sample, extra, pack):
    suffix = ".nii" if pack is bytes else ".nii.gz"
    content = sample.image().read_bytes()
    path = sample.image().with_name(f"c{suffix}")
    path.write_bytes(pack(content + extra))
    relist(sample, "image", path.name)
    assert sample.check() == []


@pytest.mark.parametrize("extra", [b"x", b"\0" * 700, b"<html>" * 50], ids=["a letter", "zeros", "text"])
def test_bytes_after_the_end_of_gzip_are_handled(sample, extra):
    voxels = read_image((sample.image(),)).array
    path = compress(sample.image())
    path.write_bytes(path.read_bytes() + extra)
    relist(sample, "image", path.name)
    assert sample.check() == []
    np.testing.assert_array_equal(read_image((path,)).array, voxels)


def test_gzip_of_several_members_is_handled(sample):
    voxels = read_image((sample.image(),)).array
    content = sample.image().read_bytes()
    path = compress(sample.image())
    path.write_bytes(gzip.compress(content[:400]) + gzip.compress(content[400:]))
    relist(sample, "image", path.name)
    assert sample.check() == []
    np.testing.assert_array_equal(read_image((path,)).array, voxels)


def test_damage_in_a_later_member_of_gzip_is_an_error(sample):
    content = sample.image().read_bytes()
    path = compress(sample.image())
    path.write_bytes(gzip.compress(content[:400]) + gzip.compress(content[400:]))
    relist(sample, "image", path.name)
    check_one_error(sample, Row.GZIP_DAMAGED, flip(path, -6))


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_big_endian_files_are_handled(sample, kind):
    for path, voxels in ((sample.image(), intensities()), (sample.label(), numbers())):
        header = kind.header_class(endianness=">")
        header.set_data_dtype(voxels.dtype)
        nib.save(kind(voxels, AFFINE, header), path)
        assert nib.load(path).header.endianness == ">"
    assert sample.check() == []


@pytest.mark.parametrize(("slope", "intercept"), [(0, 5), (np.nan, np.nan), (np.nan, 7), (0, np.nan)])
def test_a_slope_that_means_no_scaling_is_handled(sample, slope, intercept):
    voxels = read_image((sample.image(),)).array
    patch(sample.image(), "scl_slope", slope)
    patch(sample.image(), "scl_inter", intercept)
    assert sample.check() == []
    np.testing.assert_array_equal(read_image((sample.image(),)).array, voxels)


def test_what_is_refused_survives_the_way_between_processes(sample):
    with pytest.raises(Unusable) as caught:
        read_image((emptied(sample.image()),))
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.finding) == (str(caught.value), caught.value.finding)


def test_nothing_is_said_on_the_side_about_what_nibabel_mends(sample, caplog):
    patch(sample.image(), "pixdim", -1, -1, -1, first=1)
    patch(sample.image(), "sform_code", 99)
    sample.check()
    assert caplog.records == []
