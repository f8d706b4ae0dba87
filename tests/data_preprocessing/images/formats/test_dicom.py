import json

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.common.task import CTIntensities
from data_preprocessing.dataset.dataset import load_dataset
from data_preprocessing.dataset.scans import find_images
from data_preprocessing.dataset.verify import check_dataset
from data_preprocessing.images.checks.finding import Row
from data_preprocessing.images.image_file import load_image, read_header
from data_preprocessing.images.volume_io import read_image
from data_preprocessing.jobs.backend import Processes
from data_preprocessing.planning.fingerprint import collect
from data_preprocessing.planning.plan import make_plan
from data_preprocessing.shards.pipeline import preprocess_case
from tests.data_preprocessing.images.formats.samples import write_series
from tests.data_preprocessing.samples import OBLIQUE, RAS, Layout, make_config, refused, save

SHAPE = (9, 8, 7)
FEET_FIRST = Layout((0, 1, 2), (-1, -1, -1))


def scan(layout=RAS):
    voxels = np.random.default_rng(0).integers(-1000, 2000, SHAPE).astype(np.int16)
    return nib.Nifti1Image(voxels, layout.affine(SHAPE))


@pytest.mark.parametrize("layout", [RAS, OBLIQUE[0], FEET_FIRST, Layout((1, 2, 0), (1, -1, 1))], ids=str)
def test_a_series_is_read_as_its_nifti_twin(tmp_path, layout):
    write_series(tmp_path / "series", scan(layout))
    nib.save(scan(layout), tmp_path / "twin.nii.gz")
    volume, twin = read_image((tmp_path / "series",)), read_image((tmp_path / "twin.nii.gz",))
    np.testing.assert_array_equal(volume.array, twin.array)
    assert volume.findings == ()
    assert volume.spacing == pytest.approx(twin.spacing, abs=1e-6)
    x_y_z = np.argwhere(np.ones(SHAPE)) @ np.eye(3)
    placed = nib.affines.apply_affine(load_image(tmp_path / "series").affine, x_y_z)
    expected = nib.affines.apply_affine(scan(layout).affine, x_y_z)
    if np.linalg.det(layout.affine()) > 0:  # slices are counted along the cross product of row and column
        np.testing.assert_allclose(placed, expected, atol=1e-4)
    assert {tuple(np.round(point, 3) + 0.0) for point in placed} == {
        tuple(np.round(point, 3) + 0.0) for point in expected
    }


def test_the_header_is_told_by_one_file(tmp_path):
    write_series(tmp_path / "series", scan())
    assert read_header(tmp_path / "series").get_data_shape() == SHAPE


def test_a_single_slice_is_as_thick_as_it_says(tmp_path):
    write_series(tmp_path / "series", scan(), skip=range(1, SHAPE[2]))
    assert read_image((tmp_path / "series",)).spacing == pytest.approx((2.5, 1.5, 0.5))


@pytest.mark.parametrize("skip", [[3], [1, 2], [0, 2, 4]])
def test_a_missing_slice_is_an_error(tmp_path, skip):
    write_series(tmp_path / "series", scan(), skip=skip)
    with refused(tmp_path / "series", r"a slice is missing between slice\d\d_\d.dcm and slice\d\d_\d.dcm \("):
        load_image(tmp_path / "series")


def test_two_series_in_a_folder_are_an_error_that_names_them(tmp_path):
    write_series(tmp_path / "both", scan())
    localizer = write_series(tmp_path / "other", scan(), uid="1.2.9", description="scout", skip=range(2, 7))
    for file in localizer:
        file.rename(tmp_path / "both" / f"other_{file.name}")
    with refused(tmp_path / "both", r"2 series: axial \(7 files\), scout \(2 files\); put the files of each"):
        load_image(tmp_path / "both")


def test_two_slices_in_one_place_are_an_error(tmp_path):
    first = write_series(tmp_path / "series", scan())[0]
    (tmp_path / "series" / "again.dcm").write_bytes(first.read_bytes())
    with refused(tmp_path / "series", "lie in one place"):
        load_image(tmp_path / "series")


def test_a_slice_of_another_plane_is_an_error(tmp_path):
    write_series(tmp_path / "series", scan(), skip=[0])
    (turned,) = write_series(tmp_path / "turned", scan(OBLIQUE[0]), skip=range(1, 7))
    turned.rename(tmp_path / "series" / "turned.dcm")
    with refused(tmp_path / "series", "its plane, size or spacing differs"):
        load_image(tmp_path / "series")


def test_a_tilted_gantry_is_a_warning(tmp_path):
    write_series(tmp_path / "series", scan(), shear=2.5 * np.tan(np.radians(15)))
    (finding,) = read_image((tmp_path / "series",)).findings
    assert (finding.level, finding.row.name) == ("warning", "DICOM_SERIES")
    assert "tilted by 15.0 degrees" in finding.problem


@pytest.mark.parametrize("lost", [1, 50, 0.5, 0.9])
def test_a_truncated_slice_is_refused(tmp_path, lost, capfd):
    path = write_series(tmp_path / "series", scan())[3]
    content = path.read_bytes()
    path.write_bytes(content[: -lost if lost >= 1 else int(len(content) * (1 - lost))])
    with refused(path, "truncated"):
        load_image(tmp_path / "series")
    assert "".join(capfd.readouterr()) == ""


def test_a_slice_that_is_no_dicom_file_is_refused(tmp_path):
    write_series(tmp_path / "series", scan())
    (tmp_path / "series" / "notes.txt").write_text("passed over")
    assert load_image(tmp_path / "series").shape == SHAPE
    (tmp_path / "series" / "broken.dcm").write_bytes(b"")
    with refused(tmp_path / "series" / "broken.dcm", "not a valid DICOM image"):
        load_image(tmp_path / "series")
    assert read_header(tmp_path / "series") is None


def test_a_folder_of_series_is_a_case_each_and_one_series_is_one_case(tmp_path):
    for name in ("a.1", "b"):
        write_series(tmp_path / "scans" / name, scan())
    assert [(case.name, case.images) for case in find_images(tmp_path / "scans", 1)] == [
        ("a.1", (tmp_path / "scans" / "a.1",)),
        ("b", (tmp_path / "scans" / "b",)),
    ]
    assert [case.name for case in find_images(tmp_path / "scans" / "b", 1)] == ["b"]


def write_dataset(folder):
    """A data set of series with labels in NIfTI."""
    entries = []
    for case in "abcde":
        write_series(folder / "imagesTr" / case, scan(OBLIQUE[0]))
        save(folder / "labelsTr" / f"{case}.nii.gz", (scan().get_fdata() > 0).astype(np.uint8), scan(OBLIQUE[0]).affine)
        entries.append({"image": f"imagesTr/{case}", "label": f"labelsTr/{case}.nii.gz"})
    content = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "bright"}, "training": entries}
    (folder / "dataset.json").write_text(json.dumps(content))


def test_series_can_be_trained_on(tmp_path):
    write_dataset(tmp_path / "Task91_Tiny")
    assert check_dataset("Task91_Tiny", 3, tmp_path, Processes()) == []
    dataset = load_dataset(tmp_path, "Task91_Tiny")
    assert len(collect(dataset).cases) == 5
    ct = CTIntensities(low=0, high=1, mean=0, std=1)
    plan = make_plan(make_config(ct=ct, spacing_3d=(2.5, 1.5, 0.5)), dataset, 3)
    (tmp_path / "shards").mkdir()
    record = preprocess_case(dataset.training[0], dataset, plan, tmp_path / "shards", "float32")
    assert record.class_voxels[1] == np.count_nonzero(scan().get_fdata() > 0)
    assert len([name for name in record.sources if name.startswith("imagesTr/a/")]) == SHAPE[2]


def test_what_is_wrong_with_a_series_is_told_with_its_case(tmp_path):
    write_dataset(tmp_path / "Task91_Tiny")
    next((tmp_path / "Task91_Tiny" / "imagesTr" / "b").glob("*_3.dcm")).unlink()
    (finding,) = check_dataset("Task91_Tiny", 3, tmp_path, Processes())
    assert (finding.level, finding.case, finding.row) == ("error", "b", Row.DICOM_SERIES)


def test_one_file_of_a_series_is_refused(tmp_path):
    path = write_series(tmp_path / "series", scan())[0]
    with refused(path, "give the folder"):
        find_images(path, 1)


def test_an_empty_folder_is_refused(tmp_path):
    with refused(tmp_path, "no DICOM file"):
        load_image(tmp_path)
