import json
import os
import re
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.dataset import Case
from data_preprocessing.images.volume_io import read_image
from data_preprocessing.planning.plan import Region
from nnunet_tf.inference.cases.outputs import Outputs, check_output
from nnunet_tf.inference.volume.ensemble import Prediction
from tests.data_preprocessing.samples import LPS, OBLIQUE, RAS, anatomy, save
from tests.nnunet_tf.inference.samples import tiny_plan

CASE = Case("scan", ())
SHAPE = (5, 4, 3)  # (z, y, x)


@pytest.fixture(params=[RAS, LPS, *OBLIQUE], ids=str)
def layout(request):
    return request.param


@pytest.fixture
def source(layout, tmp_path):
    return read_image((save(tmp_path / "in" / "scan.nii.gz", layout.voxels(anatomy()), layout.affine()),)).source


@pytest.fixture
def prediction():
    random = np.random.default_rng(0)
    labels = random.choice(np.array([0, 4, 7], np.uint8), SHAPE)
    probabilities = random.integers(0, 65536, (3, *SHAPE)).astype(np.uint16)
    entropy, spread = random.random((2, *SHAPE)).astype(np.float32)
    return Prediction(labels, probabilities, entropy, spread)


def in_file_order(layout, array):
    """`(z, y, x, ...)` as the file of `layout` has it."""
    return layout.voxels(array.transpose(2, 1, 0, *range(3, array.ndim)))


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_by_default_there_is_the_segmentation_alone(tmp_path, source, layout, prediction):
    outputs = Outputs(tmp_path / "out", tiny_plan())
    outputs.write(CASE, Prediction(prediction.labels, None, None, None), source)
    assert names(tmp_path / "out") == ["scan.nii.gz"]
    label = nib.load(tmp_path / "out" / "scan.nii.gz")
    np.testing.assert_array_equal(np.asarray(label.dataobj), in_file_order(layout, prediction.labels))
    assert outputs.is_done(CASE)
    assert outputs.wanted(CASE).probabilities is None


def test_probabilities_are_one_4d_file_with_its_names_beside(tmp_path, source, layout, prediction):
    outputs = Outputs(tmp_path / "out", tiny_plan(), "4d")
    outputs.write(CASE, prediction, source)
    image = nib.load(tmp_path / "out" / "probabilities" / "scan.nii.gz")
    expected = in_file_order(layout, np.moveaxis(prediction.probabilities, 0, -1)) / 65535
    np.testing.assert_allclose(image.get_fdata(), expected, atol=1e-6)
    np.testing.assert_array_equal(image.affine, source.affine)
    assert image.get_data_dtype() == np.uint16
    assert image.header["intent_code"] == 0
    listed = json.loads((tmp_path / "out" / "probabilities" / "outputs.json").read_text())
    assert listed == ["background", "organ", "lesion"]


def test_probabilities_can_be_a_file_a_class(tmp_path, source, layout, prediction):
    plan = tiny_plan(classes=("background", "left/right organ", "lesion"))
    Outputs(tmp_path / "out", plan, "per-class").write(CASE, prediction, source)
    home = tmp_path / "out" / "probabilities" / "scan"
    files = ["0_background.nii.gz", "4_left_right_organ.nii.gz", "7_lesion.nii.gz"]
    assert names(home) == files
    for name, values in zip(files, prediction.probabilities, strict=True):
        found = nib.load(home / name).get_fdata()
        np.testing.assert_allclose(found, in_file_order(layout, values) / 65535, atol=1e-6)


def test_regions_have_files_of_their_own(tmp_path):
    regions = Region(name="organ", classes=(1, 2), value=7), Region(name="lesion", classes=(2,), value=3)
    files = Outputs(tmp_path, tiny_plan(regions=regions), "per-class").probability_files(CASE)
    assert [path.name for path in files] == ["7_organ.nii.gz", "3_lesion.nii.gz"]


def test_the_file_of_the_only_region_is_a_volume_too(tmp_path, source, prediction):
    plan = tiny_plan(regions=(Region(name="organ", classes=(1, 2), value=7),))
    only = Prediction(prediction.labels, prediction.probabilities[:1], None, None)
    Outputs(tmp_path / "out", plan, "per-class").write(CASE, only, source)
    assert nib.load(tmp_path / "out" / "probabilities" / "scan" / "7_organ.nii.gz").ndim == 3


def test_uncertainty_is_two_maps(tmp_path, source, layout, prediction):
    outputs = Outputs(tmp_path / "out", tiny_plan(), uncertainty=True)
    assert outputs.wanted(CASE).uncertainty
    outputs.write(CASE, prediction, source)
    for kind in ("entropy", "spread"):
        image = nib.load(tmp_path / "out" / "uncertainty" / f"scan_{kind}.nii.gz")
        np.testing.assert_array_equal(np.asarray(image.dataobj), in_file_order(layout, getattr(prediction, kind)))
        assert image.get_data_dtype() == np.float32


def test_a_2d_image_has_its_probabilities_on_the_fourth_axis(tmp_path):
    path = save(tmp_path / "in" / "scan.nii.gz", anatomy((4, 5)))
    values = np.random.default_rng(0).integers(0, 65536, (3, 1, 5, 4)).astype(np.uint16)
    prediction = Prediction(np.zeros((1, 5, 4), np.uint8), values, None, None)
    Outputs(tmp_path / "out", tiny_plan(2), "4d").write(CASE, prediction, read_image((path,)).source)
    image = nib.load(tmp_path / "out" / "probabilities" / "scan.nii.gz")
    np.testing.assert_allclose(image.get_fdata(), values.transpose(3, 2, 1, 0) / 65535, atol=1e-6)


@pytest.mark.parametrize("full_disk", [False, True])
def test_the_array_on_disk_is_gone_once_it_is_written_or_cannot_be(tmp_path, source, prediction, full_disk):
    outputs = Outputs(tmp_path / "out", tiny_plan(), "4d")
    (tmp_path / "out").mkdir()
    kept = outputs.wanted(CASE).probabilities
    kept.write_bytes(b"an array")
    assert kept.parent == tmp_path / "out"
    if full_disk:
        (tmp_path / "out" / "probabilities").write_bytes(b"a file where a folder is to be")
        with pytest.raises(UserError, match="cannot be written"):
            outputs.write(CASE, prediction, source)
    else:
        outputs.write(CASE, prediction, source)
    assert not kept.exists()


@pytest.mark.parametrize("missing", ["scan.nii.gz", "probabilities/scan.nii.gz", "uncertainty/scan_entropy.nii.gz"])
def test_a_case_is_done_when_all_of_it_is_there_and_can_be_read(tmp_path, source, prediction, missing):
    outputs = Outputs(tmp_path / "out", tiny_plan(), "4d", True)
    assert not outputs.is_done(CASE)
    outputs.write(CASE, prediction, source)
    assert outputs.is_done(CASE)
    (tmp_path / "out" / missing).unlink()
    assert not outputs.is_done(CASE)


def test_a_damaged_segmentation_is_made_again(tmp_path, source, prediction):
    outputs = Outputs(tmp_path / "out", tiny_plan())
    outputs.write(CASE, Prediction(prediction.labels, None, None, None), source)
    path = outputs.segmentation(CASE)
    path.write_bytes(path.read_bytes()[:-20])
    assert not outputs.is_done(CASE)


@pytest.mark.slow
def test_only_what_a_dead_run_left_of_these_cases_is_cleared_away(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    pid = int(dead.stdout)
    cleared = [f".{pid}.scan.nii.gz", f".{pid}.scan.probabilities", f"uncertainty/.{pid}.scan_spread.nii.gz"]
    kept = [f".{os.getpid()}.scan.nii.gz", f".{pid}.other.nii.gz", "scan.nii.gz", ".hidden.scan.nii.gz"]
    (tmp_path / "uncertainty").mkdir()
    for name in (*cleared, *kept):
        (tmp_path / name).write_bytes(b"")
    Outputs(tmp_path, tiny_plan()).clear_leftovers([CASE])
    assert names(tmp_path) == sorted(kept)


def test_an_output_that_is_no_folder_or_holds_the_scans_is_refused(tmp_path):
    case = Case("scan", (save(tmp_path / "scans" / "scan.nii.gz", anatomy()),))
    check_output(tmp_path / "out" / "here", [case])
    with pytest.raises(UserError, match=re.escape("is to be a folder")):
        check_output(tmp_path / "out.nii.gz", [case])
    with pytest.raises(UserError, match="holds the scans themselves"):
        check_output(tmp_path / "scans" / ".." / "scans", [case])


def link_scans(tmp_path):
    """Scans a and b in store/, links to them in scans/; returns the cases of these."""
    (tmp_path / "scans").mkdir()
    for name in "ab":
        save(tmp_path / "store" / f"{name}.nii.gz", anatomy((4, 5, 6)))
        (tmp_path / "scans" / f"{name}.nii.gz").symlink_to(f"../store/{name}.nii.gz")
    return [Case(name, (tmp_path / "scans" / f"{name}.nii.gz",)) for name in "ab"]


@pytest.mark.parametrize("folder", ["scans", "store", "scans/../store", "link", "link/../scans"])
def test_links_to_scans_and_the_scans_behind_them_are_never_replaced(tmp_path, folder):
    cases = link_scans(tmp_path)
    (tmp_path / "link").symlink_to("scans")
    with pytest.raises(UserError):
        check_output(tmp_path / folder, cases)


@pytest.mark.parametrize("kind", ["probabilities", "uncertainty"])
def test_no_map_replaces_a_scan(tmp_path, kind):
    name = {"probabilities": "a", "uncertainty": "a_entropy"}[kind]
    scan = save(tmp_path / "out" / kind / f"{name}.nii.gz", anatomy((4, 5, 6)))
    cases = [Case("a", (scan,))]
    outputs = Outputs(tmp_path / "out", tiny_plan(), "4d" if kind == "probabilities" else None, kind == "uncertainty")
    with pytest.raises(UserError):
        outputs.refuse_overwriting(check_output(outputs.folder, cases), cases)
    Outputs(tmp_path / "out", tiny_plan()).refuse_overwriting(check_output(tmp_path / "out", cases), cases)


@pytest.mark.parametrize("way", ["symlink_to", "hardlink_to"])
def test_a_result_that_is_there_as_a_link_to_a_scan_is_not_written(tmp_path, way):
    scan = save(tmp_path / "scans" / "a.nii.gz", anatomy((4, 5, 6)))
    (tmp_path / "out").mkdir()
    getattr(tmp_path / "out" / "a.nii.gz", way)(scan)
    outputs, cases = Outputs(tmp_path / "out", tiny_plan()), [Case("a", (scan,))]
    with pytest.raises(UserError):
        outputs.refuse_overwriting(check_output(outputs.folder, cases), cases)


@pytest.mark.parametrize("part", ["imagesTr", "labelsTr", "imagesTs"])
def test_the_files_of_a_data_set_are_never_replaced(tmp_path, part):
    scan = save(tmp_path / "scans" / "a.nii.gz", anatomy((4, 5, 6)))
    (tmp_path / "data" / part).mkdir(parents=True)
    check_output(tmp_path / "data" / part, [Case("a", (scan,))])
    (tmp_path / "data" / "dataset.json").write_text("{}")
    check_output(tmp_path / "data" / "predictedTs", [Case("a", (scan,))])
    with pytest.raises(UserError):
        check_output(tmp_path / "data" / part, [Case("a", (scan,))])
