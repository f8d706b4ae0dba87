from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.images.nifti_file import load_nifti
from data_preprocessing.images.volume_io import load_label, read_image, read_label, write_label, write_map
from tests.data_preprocessing.samples import LPS, OBLIQUE, RAS, RAS_SHAPE, Layout, anatomy, every_layout, moved, save


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


def with_text(path):
    image = nib.Nifti1Image(anatomy(), np.eye(4))
    image.header["descrip"], image.header["aux_file"], image.header["db_name"] = b"Jane Doe", b"doe.dcm", b"doe"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Jane Doe, born 1970"))
    nib.save(image, path)
    return load_nifti(path)


@pytest.mark.parametrize("keep", [False, True])
def test_what_anyone_wrote_into_a_header_is_copied_on_request_only(tmp_path, keep):
    source = with_text(tmp_path / "scan.nii")
    labels = np.zeros(anatomy().shape[::-1], np.uint8)
    write_label(tmp_path / "label.nii", labels, source, keep_text=keep)
    write_map(tmp_path / "map.nii", labels, source, keep_text=keep)
    for name in ("label.nii", "map.nii"):
        assert (b"oe" in (tmp_path / name).read_bytes()) == keep
    assert nib.load(tmp_path / "label.nii").header.get_intent()[0] == "label"
