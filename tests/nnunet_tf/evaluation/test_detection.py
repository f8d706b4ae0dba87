import json

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.commands import evaluate_script
from nnunet_tf.commands.start import run_command
from nnunet_tf.evaluation.detection import THRESHOLDS, ImageScore, confusion, detect

CASES = {"a": (0.9, True), "b": (0.4, True), "c": (0.6, False), "d": (0.02, False), "e": (0.1, False)}


def save(path, voxels):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), path)


def write_case(folder, name, values, defect):
    """Probabilities that are highest at one voxel, a plane of them an output, and the label."""
    planes = np.zeros((6, 5, 1, len(values)), np.float32)
    planes[2, 3, 0] = values
    save(folder / "predictions" / "probabilities" / f"{name}.nii.gz", planes)
    label = np.zeros((6, 5, 1), np.uint8)
    label[4, 4, 0] = defect
    save(folder / "labelsTs" / f"{name}.nii.gz", label)


def write_names(folder, *names):
    (folder / "predictions" / "probabilities" / "outputs.json").write_text(json.dumps(names))
    (folder / "dataset.json").write_text(json.dumps({"labels": {"0": "background", "1": "defect", "2": "scratch"}}))


@pytest.fixture
def folder(tmp_path):
    for name, (probability, defect) in CASES.items():
        write_case(tmp_path, name, [probability], defect)
    write_names(tmp_path, "defect")
    return tmp_path


def test_the_table_counts_images_by_their_highest_probability(folder):
    result = detect(folder / "predictions", folder / "labelsTs")
    scores = {image.case: (pytest.approx(image.probability), image.defect) for image in result.images}
    assert {name: (each[0], each[1]) for name, each in CASES.items()} == scores
    assert [row.threshold for row in result.table] == list(THRESHOLDS)
    rows = {row.threshold: row for row in result.table}
    half = rows[0.5]
    counts = (half.true_positives, half.false_positives, half.true_negatives, half.false_negatives)
    assert counts == (1, 1, 2, 1)
    assert (half.sensitivity, half.specificity, half.accuracy) == (1 / 2, 2 / 3, 3 / 5)
    low = rows[0.05]
    assert (low.true_positives, low.false_positives, low.true_negatives, low.false_negatives) == (2, 2, 1, 0)
    assert rows[0.99].true_positives == 0


def test_of_classes_the_background_does_not_count_and_any_other_does(tmp_path):
    write_case(tmp_path, "a", [0.99, 0.2, 0.7], True)
    write_names(tmp_path, "background", "defect", "scratch")
    (image,) = detect(tmp_path / "predictions", tmp_path / "labelsTs").images
    assert image.probability == pytest.approx(0.7)


def test_a_rate_without_images_is_null():
    row = confusion([ImageScore(case="a", probability=0.3, defect=False)], 0.5)
    assert (row.sensitivity, row.specificity, row.accuracy) == (None, 1, 1)


def test_missing_probabilities_are_told(tmp_path):
    with pytest.raises(UserError, match="predict with --save-probabilities"):
        detect(tmp_path, tmp_path)


def command(monkeypatch, *words):
    run_command(evaluate_script, [*map(str, words)])


def test_the_command_prints_the_table_and_writes_it(folder, monkeypatch, capsys):
    folders = ["--predictions", folder / "predictions", "--labels", folder / "labelsTs"]
    command(monkeypatch, "--detection", *folders, "--json", folder / "out" / "detection.json")
    out = capsys.readouterr().out
    assert "5 images, 2 with a defect" in out
    assert "0.6667" in out
    written = json.loads((folder / "out" / "detection.json").read_text())
    assert len(written["table"]) == len(THRESHOLDS)


def test_images_that_fail_are_all_named_and_the_others_are_scored(folder, monkeypatch, capsys):
    (folder / "predictions" / "probabilities" / "b.nii.gz").write_bytes(b"no image")
    (folder / "labelsTs" / "d.nii.gz").write_bytes(b"")
    folders = ["--predictions", folder / "predictions", "--labels", folder / "labelsTs"]
    with pytest.raises(SystemExit) as ended:
        command(monkeypatch, "--detection", *folders, "--json", folder / "detection.json")
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert "3 images, 1 with a defect" in said.out
    *_, first, second, last = said.err.splitlines()
    assert first.startswith(f"b: {folder / 'predictions' / 'probabilities' / 'b.nii.gz'}: ")
    assert second.startswith(f"d: {folder / 'labelsTs' / 'd.nii.gz'}: the file is empty")
    assert "2 cases failed" in last
    assert [image["case"] for image in json.loads((folder / "detection.json").read_text())["images"]] == ["a", "c", "e"]


def test_where_all_images_fail_each_is_named(folder):
    for name in CASES:
        (folder / "labelsTs" / f"{name}.nii.gz").write_bytes(b"")
    with pytest.raises(UserError, match=r"a.nii.gz: .* \| .*e.nii.gz: the file is empty"):
        detect(folder / "predictions", folder / "labelsTs")


@pytest.mark.parametrize("words", [("--csv", "scores.csv"), ("--find-postprocessing",)])
def test_what_does_not_go_with_it_is_refused(monkeypatch, capsys, words):
    with pytest.raises(UserError) as refused_by:
        command(monkeypatch, "--detection", "--predictions", "a", "--labels", "b", *words)
    assert f"{words[0]} does not go with --detection" in str(refused_by.value)
