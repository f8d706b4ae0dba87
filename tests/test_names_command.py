"""The commands on data sets with unusual names."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.commands import run, run_well
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


@pytest.mark.parametrize("relative", [False, True])
def test_nothing_to_report_means_that_preprocessing_works(tmp_path, relative):
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
    assert run("preprocess.py", *options[:-2], "--verify", cwd=tmp_path).status == 0
    assert not (tmp_path / "shards").exists()
    done = run("preprocess.py", *options, cwd=tmp_path, variables=PLAIN_TERMINAL)
    assert done.status == 0, done.err
    config.write_text(json.dumps(content | {"regions": {"r": {"labels": [7], "value": 1}}}))
    for more in ([], ["--verify"]):
        assert run("preprocess.py", *options[:-2], *more, cwd=tmp_path).status == 2
