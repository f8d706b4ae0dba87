"""evaluate.py as a user runs it."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import write_model
from data_preprocessing.planning.plan import make_plan, write_plan
from nnunet_tf.commands import evaluate_script
from nnunet_tf.commands.start import run_command
from nnunet_tf.evaluation.metrics.dice import summarize
from nnunet_tf.networks.settings import NetworkSettings
from tests.commands import call, call_well, refused
from tests.data_preprocessing.samples import make_config, make_dataset


@pytest.fixture
def folders(tmp_path):
    """Options naming three predicted cases; the second has an island, the third lacks the tumour."""
    for folder in ("predictions", "labelsTs", "imagesTs"):
        (tmp_path / folder).mkdir()
    for index in range(3):
        label = np.zeros((12, 12, 12), np.uint8)
        label[2:8, 2:8, 2:8] = 1
        label[4:6, 4:6, 4:6] = 2
        save(tmp_path / "labelsTs" / f"case{index}.nii.gz", label)
        save(tmp_path / "imagesTs" / f"case{index}.nii.gz", label.astype(np.int16))
        if index == 1:
            label[10:, 10:, 10:] = 1
        if index == 2:
            label[label == 2] = 1
        save(tmp_path / "predictions" / f"case{index}.nii.gz", label)
    names = {"0": "background", "1": "liver", "2": "tumour"}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": names}))
    return ["--predictions", tmp_path / "predictions", "--labels", tmp_path / "labelsTs"]


def save(path, voxels):
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), path)


def test_scores_go_to_the_terminal_and_into_every_file(folders, tmp_path):
    out = tmp_path / "out"
    files = ["--csv", out / "scores.csv", "--json", out / "scores.json", "--plot", out / "plot.png"]
    pictures = ["--overlays", out / "worst", "--images", tmp_path / "imagesTs", "--worst", 1]
    done = call_well("evaluate.py", *folders, *files, *pictures, "--tolerance-mm", 1)
    assert "NSD 1 mm" in done.out
    assert "case2 0.000" in done.out
    scores = json.loads((out / "scores.json").read_text())
    assert scores["cases"]["case0"] == {"liver": 1, "tumour": 1}
    with open(out / "scores.csv", newline="") as stream:
        assert [row["outcome"] for row in csv.DictReader(stream)] == ["found"] * 5 + ["missed"]
    assert (out / "plot.png").read_bytes().startswith(b"\x89PNG")
    # The worst of the liver, and the worst of the tumour and over all.
    assert {path.name for path in (out / "worst").iterdir()} == {"case1.png", "case2.png"}


def test_a_case_that_fails_costs_the_status_and_not_the_other_scores(folders, tmp_path):
    save(tmp_path / "predictions" / "case1.nii.gz", np.zeros((5, 5, 5), np.uint8))
    done = call("evaluate.py", *folders, "--json", tmp_path / "scores.json")
    assert done.status == 2
    assert "case1: " in done.err
    assert "1 case failed" in done.err.splitlines()[-1]
    assert set(json.loads((tmp_path / "scores.json").read_text())["cases"]) == {"case0", "case2"}


def test_labels_beside_their_predictions_are_scored_where_the_grid_is_trusted(folders, tmp_path):
    for index in range(3):
        path = tmp_path / "labelsTs" / f"case{index}.nii.gz"
        image = nib.load(path)
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), image.affine + np.eye(4, k=3) * 0.004), path)
    refused_run = call("evaluate.py", *folders, "--json", tmp_path / "scores.json")
    assert refused_run.status == 2
    assert "--trust-grid" in refused_run.err
    assert not (tmp_path / "scores.json").exists()
    done = call_well("evaluate.py", *folders, "--json", tmp_path / "scores.json", "--trust-grid")
    assert "case0, case1, case2" in done.err
    assert json.loads((tmp_path / "scores.json").read_text())["cases"]["case0"] == {"liver": 1, "tumour": 1}
    refused(call("evaluate.py", "--cross-validation", tmp_path, "--trust-grid"), "--trust-grid")


def test_folds_are_pooled_into_one_table(tmp_path):
    for fold, counts in enumerate(([[1, 2, 2]], [[3, 3, 3]])):
        (tmp_path / "task04_3d" / f"fold_{fold}").mkdir(parents=True)
        result = summarize([f"case{fold}"], ["liver"], np.array([counts]))
        write_model(tmp_path / "task04_3d" / f"fold_{fold}" / "validation.json", result)
    options = ["--cross-validation", tmp_path / "task04_3d", "--json", tmp_path / "pooled.json"]
    done = call_well("evaluate.py", *options)
    assert "2 cases of all folds" in done.out
    assert "fold 1" in done.out
    pooled = json.loads((tmp_path / "pooled.json").read_text())
    assert pooled["cases"] == {"case0": {"liver": 0.5}, "case1": {"liver": 1.0}}
    assert pooled["folds"]["classes"]["liver"]["folds"] == [0.5, 1.0]


def test_the_postprocessing_found_is_saved_in_the_models_folder(folders, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    labels = {0: "background", 1: "liver", 2: "tumour"}
    write_plan(model, make_plan(make_config(), make_dataset(labels=labels), 3))
    write_model(model / "network.json", NetworkSettings())
    (model / "model.weights.h5").touch()
    done = call_well("evaluate.py", *folders, "--find-postprocessing", "--model", model)
    assert "Largest component only of: all foreground" in done.out
    assert json.loads((model / "postprocessing.json").read_text())["keep_largest_foreground"] is True


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--labels", "here"], "--predictions"),
        (["--predictions", "here", "--labels", "there", "--overlays", "out"], "--images"),
        (["--predictions", "here", "--labels", "there", "--find-postprocessing"], "--model"),
        (["--predictions", "here", "--labels", "there", "--images", "scans"], "--overlays"),
        (["--predictions", "here", "--labels", "there", "--model", "model"], "--find-postprocessing"),
        (
            ["--predictions", "here", "--labels", "there", "--images", "scans", "--overlays", "there/../here"],
            "--overlays: there/../here is that of --predictions",
        ),
        (
            ["--predictions", "here", "--labels", "there", "--plot", "there/box.png"],
            "--plot: there is that of --labels",
        ),
        (["--cross-validation", "here", "--labels", "there"], "--labels does not go with --cross-validation"),
        (
            ["--predictions", "here", "--labels", "there", "--find-postprocessing", "--include-background"],
            "--include-background does not go with --find-postprocessing",
        ),
        (
            ["--predictions", "here", "--labels", "there", "--images", "scans", "--overlays", __file__],
            "is a file; name a folder",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, word):
    with pytest.raises(UserError) as refused_by:
        run_command(evaluate_script, options)
    assert word in str(refused_by.value)


def test_a_package_is_no_place_for_postprocessing(folders, tmp_path):
    (tmp_path / "model.zip").touch()
    refused(call("evaluate.py", *folders, "--find-postprocessing", "--model", tmp_path / "model.zip"), "folder")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--plot", "scores.xyz"], "end its name in .png"),
        (["--csv", "same", "--json", "same"], "give each its own file"),
        (["--json", "labels/x.png"], "end it in .json"),
    ],
)
def test_files_that_cannot_be_written_as_named_are_told_before_the_work(folders, words, said):
    refused(call("evaluate.py", *folders, *words), said)
    refused(call("evaluate.py", "--cross-validation", folders[1], *words), said)


def test_where_all_cases_fail_each_is_named(folders, tmp_path):
    for index in range(3):
        save(tmp_path / "labelsTs" / f"case{index}.nii.gz", np.zeros((5, 5, 5), np.uint8))
    refused(call("evaluate.py", *folders), *(f"case{index}.nii.gz: its voxel grid differs" for index in range(3)))


def test_where_there_is_no_number_but_0_nothing_is_scored_and_that_is_said(folders):
    predictions, labels = folders[1], folders[3]
    (labels.parent / "dataset.json").unlink(missing_ok=True)
    for folder in (predictions, labels):
        for file in folder.iterdir():
            file.unlink()
        save(folder / "case.nii.gz", np.zeros((4, 4, 4), np.uint8))
    assert "no number but 0" in call_well("evaluate.py", *folders).out


@pytest.mark.parametrize("option", ["--csv", "--json", "--plot", "--overlays"])
def test_an_output_of_the_wrong_kind_is_told_before_anything_is_scored_or_written(folders, tmp_path, option):
    place = tmp_path / "place.png"
    target = place / "worst" if option == "--overlays" else place
    if option == "--overlays":
        place.write_text("a file")
    else:
        place.mkdir()
    written = tmp_path / "written.csv"
    others = ["--csv", written] if option != "--csv" else []
    images = ["--images", tmp_path / "imagesTs"] if option == "--overlays" else []
    if option in ("--csv", "--json"):
        target = target.rename(tmp_path / "place")
    done = call("evaluate.py", *folders, *others, option, target, *images)
    refused(done, str(place if place.exists() else target))
    assert "Scoring" not in done.err + done.out
    assert not written.exists()
