"""The commands on data sets with unusual names."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from tests.commands import call, call_well, refused, run, run_well
from tests.data_preprocessing.samples import write_tiny_dataset

PLAIN_TERMINAL = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
CASES = ("pat1 [pre]", "pat1 [b]", "Müller $x$ $y_{$")
CLASSES = ("tumour [/core]", "edema [red]", "mean", "肝 :x:")


@pytest.fixture
def folder(tmp_path):
    """Labels of three cases with four classes."""
    (tmp_path / "labelsTr").mkdir()
    for number, case in enumerate(CASES):
        label = np.zeros((12, 12, 10), np.uint8)
        for value in range(1, 5):
            label[2 * value : 2 * value + 2, 3 + number : 8, 2:7] = value
        nib.save(nib.Nifti1Image(label, np.eye(4)), tmp_path / "labelsTr" / f"{case}.nii.gz")
    names = {"0": "background"} | {str(value): name for value, name in enumerate(CLASSES, start=1)}
    (tmp_path / "dataset.json").write_text(json.dumps({"modality": {"0": "MRI"}, "labels": names, "training": []}))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("variables", [{}, PLAIN_TERMINAL], ids=["utf-8", "ascii"])
def test_scores_name_classes_and_cases_as_they_are(folder, variables):
    labels, out = folder / "labelsTr", folder / "out [x]"
    options = ["--predictions", labels, "--labels", labels, "--json", out / "a.json", "--csv", out / "a.csv"]
    options += ["--plot", out / "a.png", "--overlays", out / "worst", "--images", labels]
    done = run_well("evaluate.py", *options, variables=variables)
    for name in (*CASES[:2], *CLASSES[:3]):
        assert name in done.out
    if not variables:
        assert CASES[2] in done.out and CLASSES[3] in done.out
    scores = json.loads((out / "a.json").read_text(encoding="utf-8"))
    assert set(scores["cases"]) == set(CASES)
    assert [row["name"] for row in scores["classes"]] == list(CLASSES)
    assert {path.stem for path in (out / "worst").iterdir()} == set(CASES)


@pytest.mark.slow
@pytest.mark.parametrize("relative", [False, True])
def test_nothing_to_report_means_that_preprocessing_works(tmp_path, relative, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tiny_dataset(
        tmp_path / "data" / "Task91_Tiny",
        {
            name: np.eye(8, dtype=np.uint8)[..., None] * np.ones(8, np.uint8)
            for name in ("plan", "a b [c]", "manifest", "é", "-x")
        },
    )
    config = tmp_path / "t.yaml"
    content = {
        "task": "91",
        "dataset": "Task91_Tiny",
        "patch_size_3d": [8, 8, 8],
        "spacing_3d": [1, 1, 1],
        "patch_size_2d": [8, 8],
        "spacing_2d": [1, 1],
        "features": [4, 8],
    }
    config.write_text(json.dumps(content))
    home = Path() if relative else tmp_path
    options = ["--task", config, "--data", home / "data", "--shards", home / "shards", "--report", home / "sheet.png"]
    call_well("preprocess.py", *options[:-2], "--verify")
    assert not (tmp_path / "shards").exists()
    done = run("preprocess.py", *options, cwd=tmp_path, variables=PLAIN_TERMINAL)
    assert done.status == 0, done.err
    config.write_text(json.dumps(content | {"regions": {"r": {"labels": [7], "value": 1}}}))
    for more in ([], ["--verify"]):
        assert call("preprocess.py", *options[:-2], *more).status == 2


def evaluation_of_links(home):
    """Options for folders of links to labels in `store`, beside which a dataset.json lies."""
    for part in ("store", "predictions", "labels", "images"):
        (home / part).mkdir()
    (home / "dataset.json").write_text(json.dumps({"labels": {"0": "background", "1": "organ"}}))
    label = np.zeros((8, 8), np.uint8)
    label[2:5, 3:6] = 1
    for case in "ab":
        Image.fromarray(label).save(home / "store" / f"{case}.png")
        for part in ("predictions", "labels", "images"):
            (home / part / f"{case}.png").symlink_to(f"../store/{case}.png")
    return ["--predictions", home / "predictions", "--labels", home / "labels"]


@pytest.mark.parametrize(
    ("option", "target"),
    [
        ("--json", "dataset.json"),
        ("--json", "names.json"),  # a link to it
        ("--csv", "./dataset.json"),
        ("--plot", "store/a.png"),
        ("--plot", "box.png"),  # a hard link to a label
        ("--plot", "labels/box.png"),
        ("--overlays", "store"),
        ("--overlays", "folder"),  # a link to the folder of labels
    ],
)
def test_what_is_written_never_replaces_what_is_scored(tmp_path, option, target):
    options = evaluation_of_links(tmp_path)
    (tmp_path / "names.json").symlink_to("dataset.json")
    (tmp_path / "folder").symlink_to("labels")
    (tmp_path / "box.png").hardlink_to(tmp_path / "store" / "a.png")
    before = {path: (path.is_symlink(), path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file()}
    more = ["--images", tmp_path / "images"] if option == "--overlays" else []
    refused(call("evaluate.py", *options, option, tmp_path / target, *more), option)
    assert {path: (path.is_symlink(), path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file()} == before


def test_two_outputs_of_one_path_are_refused(tmp_path):
    options = evaluation_of_links(tmp_path)
    refused(call("evaluate.py", *options, "--json", tmp_path / "x", "--csv", tmp_path / "store" / ".." / "x"), "--json")


@pytest.mark.parametrize(
    ("option", "target"),
    [
        ("--report", "data/Task91_Tiny/dataset.json"),
        ("--report", "t.yaml"),
        ("--report", "store/a.nii.gz"),
        ("--report", "store/sheet.png"),
        ("--shards", "data"),
    ],
)
def test_preprocessing_replaces_nothing_that_it_reads(tmp_path, option, target):
    label = np.zeros((8, 8, 8), np.uint8)
    label[2:5, 3:6, 1:4] = 1
    name = "task91_3d" if option == "--shards" else "Task91_Tiny"
    folder = tmp_path / "data" / name
    write_tiny_dataset(folder, dict.fromkeys("abcde", label))
    (folder / "imagesTr").rename(tmp_path / "store")
    (folder / "imagesTr").symlink_to("../../store")
    content = {"task": "91", "dataset": name, "patch_size_3d": [8, 8, 8], "spacing_3d": [1, 1, 1]}
    content |= {"patch_size_2d": [8, 8], "spacing_2d": [1, 1], "features": [4, 8], "nonzero_mask": False}
    (tmp_path / "t.yaml").write_text(json.dumps(content))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    options = ["--task", tmp_path / "t.yaml", "--data", tmp_path / "data", "--shards", tmp_path / "shards"]
    refused(call("preprocess.py", *options, option, tmp_path / target), option)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
