"""What predict.py writes beside segmentations, and what other commands make of it."""

import csv
import hashlib
import json
import sys

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from scipy import ndimage

from data_preprocessing.common.errors import UserError
from data_preprocessing.images.label_table import label_names
from data_preprocessing.planning.plan import Region
from nnunet_tf.answers.run_record import RunRecord
from nnunet_tf.commands import evaluate, predict, statistics
from nnunet_tf.commands.start import run_command
from nnunet_tf.inference.models.folder import RANGES_NAME, WEIGHTS_NAME
from tests.data_preprocessing.images.formats.dicom_samples import stored_numbers, write_folder
from tests.data_preprocessing.samples import LPS, save
from tests.nnunet_tf.inference.samples import tiny_plan, write_untrained_model

SHAPE = (20, 21, 22)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "fold_0"
    write_untrained_model(folder, tiny_plan())
    return folder


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("scans"), np.random.default_rng(0)
    for number in range(2):
        save(folder / f"scan_{number}.nii.gz", random.normal(size=SHAPE).astype(np.float32), LPS.affine())
    return folder


@pytest.fixture(autouse=True)
def _own_arguments(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["predict.py"])


def run(module, *words):
    run_command(module, [str(word) for word in words])


def voxels(path):
    return np.asarray(nib.load(path).dataobj)


@pytest.fixture(scope="module")
def predicted(model, scans, tmp_path_factory):
    """Everything that can be asked for."""
    folder = tmp_path_factory.mktemp("out")
    words = ("--model", model, "--input", scans, "--output", folder)
    run(predict, *words, "--statistics", "--preview", "--save-uncertainty")
    return folder


def test_the_record_tells_what_made_the_segmentations(predicted, model, scans):
    record = RunRecord.model_validate_json((predicted / "run.json").read_text())
    assert (record.status, record.exit_status, record.part) == ("complete", 0, "1/1")
    assert record.models[0].sha256 == hashlib.sha256((model / WEIGHTS_NAME).read_bytes()).hexdigest()
    assert record.models[0].fold == "fold_0"
    assert record.device.kind in ("cpu", "gpu")
    assert record.device.precision == "float32"
    assert record.options["overlap"] == 0.5
    assert record.classes == {0: "background", 4: "organ", 7: "lesion"}
    assert {"python", "keras", "numpy"} <= set(record.versions)
    case = record.cases["scan_0"]
    assert case.images == [str(scans / "scan_0.nii.gz")]
    assert set(case.seconds) == {"read", "compute", "write"}
    assert case.peak_memory_mib > 50
    assert all((predicted / name).is_file() for name in case.written)
    assert "scan_0.nii.gz" in case.written


def test_names_stand_in_the_folder_and_in_every_file(predicted):
    content = json.loads((predicted / "dataset.json").read_text())
    assert content["labels"] == {"0": "background", "4": "organ", "7": "lesion"}
    assert set(content["colors"]) == {"4", "7"}
    assert label_names(nib.load(predicted / "scan_0.nii.gz").header) == {0: "background", 4: "organ", 7: "lesion"}
    snap = [line.split() for line in (predicted / "labels_itksnap.txt").read_text().splitlines() if line[0] != "#"]
    assert [(line[0], line[-1]) for line in snap[1:]] == [("4", '"organ"'), ("7", '"lesion"')]
    slicer = [line.split() for line in (predicted / "labels_slicer.ctbl").read_text().splitlines() if line[0] != "#"]
    assert [line[:2] for line in slicer] == [["0", "Background"], ["4", "organ"], ["7", "lesion"]]
    assert all(len(line) == 6 and all(0 <= int(part) <= 255 for part in line[2:]) for line in slicer)


def test_statistics_are_those_of_the_files_that_lie_there(predicted, scans):
    rows = list(csv.DictReader((predicted / "statistics.csv").read_text().splitlines()))
    assert [(row["case"], row["structure"]) for row in rows] == [
        (f"scan_{number}", name) for number in range(2) for name in ("organ", "lesion")
    ]
    labels, image = voxels(predicted / "scan_1.nii.gz"), voxels(scans / "scan_1.nii.gz")
    entropy = voxels(predicted / "uncertainty" / "scan_1_entropy.nii.gz")
    row = rows[2]
    assert int(row["voxels"]) == np.count_nonzero(labels == 4)
    assert float(row["intensity_mean"]) == pytest.approx(image[labels == 4].mean(), rel=1e-4)
    assert 0 <= float(row["border_entropy"]) <= entropy.max()
    assert (predicted / "preview" / "scan_0.png").is_file()


def test_a_folder_measured_afterwards_has_the_same_numbers(predicted, scans, tmp_path, capsys):
    run(statistics, "--predictions", predicted, "--images", scans, "--output", tmp_path, "--preview")
    known, found = (
        list(csv.DictReader((folder / "statistics.csv").read_text().splitlines())) for folder in (predicted, tmp_path)
    )
    for before, after in zip(known, found, strict=True):
        assert {name: after[name] for name in after if name != "flags"} == {
            name: before[name] for name in after if name != "flags"
        }
    assert (tmp_path / "preview" / "scan_1.png").is_file()


def test_ranges_kept_in_a_model_flag_what_lies_outside(predicted, model, scans, tmp_path, capsys):
    run(statistics, "--predictions", predicted, "--images", scans, "--output", tmp_path / "a", "--model", model,
        "--save-ranges")  # fmt: skip
    try:
        capsys.readouterr()
        bright = save(tmp_path / "in" / "bright.nii.gz", voxels(scans / "scan_0.nii.gz") + 50, LPS.affine())
        both = ("--input", scans / "scan_0.nii.gz", bright)
        run(predict, "--model", model, *both, "--output", tmp_path / "b", "--statistics")
        said = capsys.readouterr().out.splitlines()
        assert next(line for line in said if line.startswith("look at ")).startswith("look at bright: ")
        assert said[-1] == "1 of 2 cases to look at"
        flags = {
            row["case"]: row["flags"]
            for row in csv.DictReader((tmp_path / "b" / "statistics.csv").read_text().splitlines())
        }
        assert flags["bright"]
        assert not flags["scan_0"]
    finally:
        (model / RANGES_NAME).unlink()


def test_two_folders_are_compared_case_by_case(predicted, tmp_path, capsys):
    for number in range(2):
        path = predicted / f"scan_{number}.nii.gz"
        whole = voxels(path)
        save(tmp_path / "labels" / path.name, whole, nib.load(path).affine)
        save(tmp_path / "other" / path.name, np.where(np.indices(SHAPE)[0] < 10, whole, 0), nib.load(path).affine)
    words = ("--predictions", predicted, "--labels", tmp_path / "labels", "--n-jobs", 1)
    run(evaluate, *words, "--against", tmp_path / "other", "--json", tmp_path / "scores.json")
    rows = json.loads((tmp_path / "scores.json").read_text())["against"]
    assert [row["structure"] for row in rows] == ["organ", "lesion", "mean"]
    assert all(row["here"] == 1 and row["difference"] > 0 and row["better"] == 2 for row in rows)
    said = capsys.readouterr().out
    assert all(f"{row['difference']:+.4f}" in said for row in rows)
    with pytest.raises(UserError, match=r"dataset\.json"):
        run(evaluate, *words, "--against", predicted, "--json", predicted / "dataset.json")


def test_evaluation_takes_names_from_the_folder(predicted, tmp_path, capsys):
    for number in range(2):
        path = predicted / f"scan_{number}.nii.gz"
        save(tmp_path / "labels" / path.name, voxels(path), nib.load(path).affine)
    run(evaluate, "--predictions", predicted, "--labels", tmp_path / "labels", "--json", tmp_path / "scores.json",
        "--n-jobs", 1)  # fmt: skip
    assert set(json.loads((tmp_path / "scores.json").read_text())["cases"]["scan_0"]) == {"organ", "lesion"}
    for name in ("dataset.json", "run.json"):
        with pytest.raises(UserError, match=name):
            run(evaluate, "--predictions", predicted, "--labels", tmp_path / "labels", "--json", predicted / name)


def test_a_subset_and_a_smallest_volume_leave_the_rest_out(predicted, model, scans, tmp_path):
    whole = voxels(predicted / "scan_0.nii.gz")
    pieces, _ = ndimage.label(whole == 4, np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel())
    limit = int(np.median(sizes[1:])) + 1
    kept = (sizes[pieces] >= limit) & (pieces > 0)
    assert 0 < np.count_nonzero(kept) < np.count_nonzero(whole == 4)
    mm3 = limit * abs(np.linalg.det(LPS.affine()[:3, :3])) - 1e-3
    words = ("--model", model, "--input", scans, "--output", tmp_path, "--statistics")
    run(predict, *words, "--roi-subset", "organ", "--min-volume", f"organ={mm3}")
    np.testing.assert_array_equal(voxels(tmp_path / "scan_0.nii.gz"), np.where(kept, 4, 0))
    rows = list(csv.DictReader((tmp_path / "statistics.csv").read_text().splitlines()))
    assert {row["structure"] for row in rows} == {"organ"}
    assert json.loads((tmp_path / "dataset.json").read_text())["labels"] == {"0": "background", "4": "organ"}
    for number in range(2):
        save(tmp_path / "labels" / f"scan_{number}.nii.gz", voxels(predicted / f"scan_{number}.nii.gz"), LPS.affine())
    scores = tmp_path / "scores.json"
    run(evaluate, "--predictions", tmp_path, "--labels", tmp_path / "labels", "--json", scores, "--n-jobs", 1)
    assert set(json.loads(scores.read_text())["cases"]["scan_0"]) == {"organ"}


@pytest.mark.parametrize("option", [["--roi-subset", "liver"], ["--min-volume", "liver=3"], ["--dicom", "seg"]])
def test_what_the_model_or_the_scans_do_not_have_is_refused_before_anything_is_written(model, scans, tmp_path, option):
    with pytest.raises(UserError, match=f"{option[0]}|liver"):
        run(predict, "--model", model, "--input", scans, "--output", tmp_path / "out", *option)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_dicom_series_gets_a_dicom_object(model, tmp_path):
    write_folder(tmp_path / "in" / "series", stored_numbers(slices=8).astype(np.int16))
    run(predict, "--model", model, "--input", tmp_path / "in", "--output", tmp_path / "out", "--dicom", "seg")
    (path,) = (tmp_path / "out" / "dicom").glob("*.dcm")
    (nifti,) = (tmp_path / "out").glob("*.nii.gz")
    assert int(dcmread(path).pixel_array.sum()) == np.count_nonzero(voxels(nifti))


def test_a_run_that_goes_on_makes_what_is_missing_and_keeps_the_record(model, scans, tmp_path):
    words = ("--model", model, "--input", scans, "--output", tmp_path, "--statistics")
    run(predict, *words)
    (tmp_path / "statistics" / "scan_1.json").unlink()
    before = (tmp_path / "scan_0.nii.gz").stat().st_mtime_ns
    run(predict, *words, "--continue")
    assert (tmp_path / "scan_0.nii.gz").stat().st_mtime_ns == before
    assert (tmp_path / "statistics" / "scan_1.json").is_file()
    record = RunRecord.model_validate_json((tmp_path / "run.json").read_text())
    assert set(record.cases) == {"scan_0", "scan_1"}


@pytest.mark.filterwarnings("ignore:.*is kept")
def test_a_data_sets_own_description_is_kept(model, scans, tmp_path):
    own = tmp_path / "dataset.json"
    own.write_text('{"labels": {"0": "background"}}')
    run(predict, "--model", model, "--input", scans / "scan_0.nii.gz", "--output", tmp_path)
    assert own.read_text() == '{"labels": {"0": "background"}}'


def test_regions_are_scored_and_measured_as_regions_wherever_the_folder_lies(tmp_path):
    regions = (Region(name="whole", classes=(1, 2), value=1), Region(name="core", classes=(2,), value=2))
    plan = tiny_plan(label_values=(0, 4, 7), regions=regions)
    write_untrained_model(tmp_path / "model", plan)
    save(tmp_path / "in" / "scan.nii.gz", np.random.default_rng(0).normal(size=SHAPE).astype(np.float32))
    out = tmp_path / "elsewhere" / "out"
    run(predict, "--model", tmp_path / "model", "--input", tmp_path / "in", "--output", out, "--statistics")
    labels = voxels(out / "scan.nii.gz")
    rows = {row["structure"]: row for row in csv.DictReader((out / "statistics.csv").read_text().splitlines())}
    assert int(rows["whole"]["voxels"]) == np.count_nonzero(labels)
    assert int(rows["core"]["voxels"]) == np.count_nonzero(labels == 2)
    truth = np.array([0, 4, 7], np.uint8)[labels]
    save(tmp_path / "truth" / "labels" / "scan.nii.gz", truth)
    run(evaluate, "--predictions", out, "--labels", tmp_path / "truth" / "labels", "--json", tmp_path / "s.json")
    assert json.loads((tmp_path / "s.json").read_text())["cases"]["scan"] == {"whole": 1.0, "core": 1.0}
