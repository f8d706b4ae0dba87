"""Scans of every format in, results in that format out, with a network that needs no training."""

import json

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from data_preprocessing.dataset.scans import find_images
from data_preprocessing.images.volume_io import load_label, read_image, read_label
from data_preprocessing.synthetic.phantom import Options, sample_case
from nnunet_tf.evaluation.reports.worst_cases import Folders, save_overlays
from nnunet_tf.evaluation.scoring.folder import evaluate
from nnunet_tf.inference.cases.local import predict_cases
from nnunet_tf.inference.cases.outputs import Outputs, check_output
from nnunet_tf.inference.predictor import Predictor
from nnunet_tf.inference.volume.inputs import check_headers
from tests.data_preprocessing.images.formats.samples import write_series
from tests.data_preprocessing.images.formats.test_volumes import write
from tests.data_preprocessing.samples import OBLIQUE, refused
from tests.nnunet_tf.inference.samples import threshold_network, tiny_plan

CELL, LIMIT = 255, 100
PLAN = tiny_plan(2, classes=("background", "cell", "none"), label_values=(0, CELL, CELL - 1))
GREY = np.random.default_rng(0).integers(0, 256, (13, 21), np.uint8)


@pytest.fixture(scope="module")
def predictor():
    return Predictor.of_network(threshold_network(PLAN, LIMIT + 0.5), PLAN)


@pytest.fixture(scope="module")
def colour_predictor():
    plan = tiny_plan(2, channels=("R", "G", "B"))
    return Predictor.of_network(threshold_network(plan, LIMIT + 0.5), plan)


def predicted(predictor, folder, output):
    """Predicts the images in a folder as predict.py does; returns the files that came out, by name."""
    plan = predictor.plans[0]
    cases = find_images(folder, len(plan.channels))
    outputs = Outputs(output, plan)
    check_output(output, cases)
    check_headers(cases, plan)
    assert predict_cases(predictor, cases, outputs) == []
    assert all(outputs.is_done(case) for case in cases)
    return {path.name: path for path in output.iterdir()}


def test_pictures_give_pictures_of_their_size_with_the_values_of_the_data_set(predictor, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.bmp", "c.tif", "d.1.TIFF"):
        Image.fromarray(GREY).save(tmp_path / "in" / name)
    Image.fromarray(np.where(GREY > LIMIT, 250, 5).astype(np.uint8)).save(tmp_path / "in" / "e.jpg", quality=100)
    Image.fromarray(np.stack([GREY] * 3, axis=-1)).save(tmp_path / "in" / "f.png")  # grey, saved in colours
    files = predicted(predictor, tmp_path / "in", tmp_path / "out")
    assert sorted(files) == ["a.png", "b.bmp", "c.tif", "d.1.tiff", "e.png", "f.png"]
    for path in files.values():
        with Image.open(path) as written:
            assert (written.mode, written.size) == ("L", (21, 13))
            np.testing.assert_array_equal(np.array(written), np.where(GREY > LIMIT, CELL, 0), err_msg=path.name)


def test_a_stack_of_20_pages_gives_a_stack_of_20_pages(predictor, tmp_path):
    pages = np.random.default_rng(1).integers(0, 256, (20, 13, 21), np.uint8)
    (tmp_path / "in").mkdir()
    first, *others = map(Image.fromarray, pages)
    first.save(tmp_path / "in" / "stack.tif", save_all=True, append_images=others)
    files = predicted(predictor, tmp_path / "in", tmp_path / "out")
    with Image.open(files["stack.tif"]) as written:
        assert written.n_frames == 20
    np.testing.assert_array_equal(load_label(files["stack.tif"])[0], np.where(pages > LIMIT, CELL, 0))


def test_a_colour_picture_is_predicted_by_a_network_of_three_channels_alone(predictor, colour_predictor, tmp_path):
    colours = np.random.default_rng(2).integers(0, 256, (13, 21, 3), np.uint8)
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.png"
    Image.fromarray(colours).save(path)
    files = predicted(colour_predictor, tmp_path / "in", tmp_path / "out")
    expected = np.where(colours.astype(float).mean(axis=-1) > LIMIT + 0.5, 4, 0)
    np.testing.assert_array_equal(load_label(files["a.png"])[0][0], expected)
    with refused(path, "3 channels where"):
        predictor(path)
    Image.fromarray(GREY).save(path)
    with refused(path, "1 channel where"):
        colour_predictor(path)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".mgz"])
def test_a_volume_gives_a_volume_on_its_own_grid(predictor, tmp_path, suffix):
    voxels = np.random.default_rng(3).integers(0, 256, (9, 8, 7)).astype(np.int16)
    (tmp_path / "in").mkdir()
    scan = write(tmp_path / "in" / f"scan{suffix}", voxels, OBLIQUE[1].affine((9, 8, 7), (1, 1, 1)))
    files = predicted(predictor, tmp_path / "in", tmp_path / "out")
    assert list(files) == [f"scan{suffix}"]
    volume = read_image((scan,))
    np.testing.assert_array_equal(
        read_label(files[f"scan{suffix}"], volume), np.where(volume.array[..., 0] > LIMIT, CELL, 0)
    )
    np.testing.assert_array_equal(load_label(files[f"scan{suffix}"])[1].affine, volume.source.affine)


@pytest.mark.parametrize("orientation", ["LPS", "RAS"])
def test_a_dicom_series_gives_the_result_of_its_nifti_twin_on_the_same_grid(tmp_path, orientation):
    phantom = sample_case(0, Options(field_of_view_mm=60), orientation, (2, 2, 4))
    image = nib.Nifti1Image(np.rint(phantom.image).astype(np.int16), phantom.affine)
    write_series(tmp_path / "dicom" / "scan", image)
    (tmp_path / "nifti").mkdir()
    nib.save(image, tmp_path / "nifti" / "scan.nii.gz")
    plan = tiny_plan(3, spacing=(4.0, 2.0, 2.0))
    threshold = float(np.percentile(phantom.image, 80))
    predictor = Predictor.of_network(threshold_network(plan, threshold), plan)
    results = {
        name: nib.load(predicted(predictor, tmp_path / name, tmp_path / f"{name} out")["scan.nii.gz"])
        for name in ("dicom", "nifti")
    }
    labels = {name: np.asarray(result.dataobj) for name, result in results.items()}
    assert 0.1 < (labels["nifti"] == 4).mean() < 0.3
    if orientation == "LPS":  # the order of the files' rows and columns: voxel by voxel
        np.testing.assert_array_equal(labels["dicom"], labels["nifti"])
        np.testing.assert_allclose(results["dicom"].affine, results["nifti"].affine, atol=1e-4)
    from_dicom, from_nifti = (load_label(tmp_path / f"{name} out" / "scan.nii.gz")[0] for name in ("dicom", "nifti"))
    np.testing.assert_array_equal(from_dicom, from_nifti)


def test_a_folder_of_a_series_is_not_written_into(predictor, tmp_path):
    write_series(tmp_path / "in" / "scan", nib.Nifti1Image(np.ones((4, 4, 4), np.int16), np.eye(4)))
    cases = find_images(tmp_path / "in", 1)
    for folder in (tmp_path / "in", tmp_path / "in" / "scan"):
        with refused(folder, "holds the scans themselves"):
            check_output(folder, cases)


def test_what_is_wanted_besides_is_nifti(predictor, tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(GREY).save(tmp_path / "in" / "a.png")
    (case,) = find_images(tmp_path / "in", 1)
    outputs = Outputs(tmp_path / "out", PLAN, "4d", uncertainty=True)
    outputs.folder.mkdir()
    assert predict_cases(predictor, [case], outputs) == []
    assert nib.load(outputs.probability_files(case)[0]).shape == (21, 13, 1, 3)
    assert [nib.load(path).shape for path in outputs.uncertainty_files(case)] == [(21, 13, 1)] * 2


def test_leftovers_of_a_killed_run_are_removed_whatever_their_format(tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(GREY).save(tmp_path / "in" / "a.png")
    (tmp_path / ".999999999.a.png").touch()
    (tmp_path / ".999999999.b.png").touch()
    Outputs(tmp_path, PLAN).clear_leftovers(find_images(tmp_path / "in", 1))
    assert [path.name for path in tmp_path.glob(".*")] == [".999999999.b.png"]


def test_predictions_are_scored_against_labels_of_the_same_name_and_drawn(predictor, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "labels").mkdir()
    Image.fromarray(np.where(GREY > LIMIT, 250, 5).astype(np.uint8)).save(tmp_path / "in" / "a.jpg", quality=100)
    Image.fromarray(np.where(GREY > LIMIT, CELL, 0).astype(np.uint8)).save(tmp_path / "labels" / "a.tif")
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"0": "wall", "1": "cell"}, "values": {"cell": 255}}))
    predicted(predictor, tmp_path / "in", tmp_path / "out")
    result = evaluate(tmp_path / "out", tmp_path / "labels")
    assert result.cases == {"a": {"cell": 1.0}}
    folders = Folders(tmp_path / "out", tmp_path / "labels", tmp_path / "in")
    (outcome,) = save_overlays(tmp_path / "pictures", folders, result)
    assert outcome.result == tmp_path / "pictures" / "a.png"
    assert outcome.result.is_file()
