import json

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.jobs.backend import Processes
from nnunet_tf.evaluation.scoring.folder import FilePair, estimate_scoring, evaluate, pair_files
from nnunet_tf.evaluation.scoring.options import ScoringOptions


@pytest.fixture
def folders(tmp_path):
    labels, predictions = tmp_path / "data" / "labelsTs", tmp_path / "predictions"
    labels.mkdir(parents=True)
    predictions.mkdir()
    (tmp_path / "data" / "dataset.json").write_text(json.dumps({"labels": {"0": "background", "1": "a", "4": "b"}}))
    return predictions, labels


def write(path, voxels, affine=None):
    nib.save(nib.Nifti1Image(np.asarray(voxels, np.uint8), np.eye(4) if affine is None else affine), path)


def test_files_of_the_same_name_are_compared_under_the_names_of_dataset_json(folders):
    predictions, labels = folders
    truth = np.zeros((4, 4, 4))
    truth[0], truth[1] = 1, 4
    write(labels / "x.nii.gz", truth)
    write(labels / "unpredicted.nii.gz", truth)
    truth[1, :2] = 0
    write(predictions / "x.nii.gz", truth)
    result = evaluate(predictions, labels)
    assert result.cases == {"x": {"a": 1.0, "b": pytest.approx(2 / 3)}}
    assert result.unpredicted == ["unpredicted"]
    assert result.tolerance_mm == ScoringOptions().tolerance_mm


def test_a_prediction_without_label_is_refused(folders):
    predictions, labels = folders
    write(predictions / "x.nii.gz", np.ones((2, 2, 2)))
    write(labels / "y.nii.gz", np.ones((2, 2, 2)))
    with pytest.raises(UserError, match=r"x.nii.gz: has no label"):
        evaluate(predictions, labels)


@pytest.mark.parametrize(("shape", "affine"), [((2, 2, 3), np.eye(4)), ((2, 2, 2), np.diag([-1, 1, 1, 1]))])
def test_another_grid_is_refused(folders, shape, affine):
    predictions, labels = folders
    write(predictions / "x.nii.gz", np.ones(shape), affine)
    write(labels / "x.nii.gz", np.ones((2, 2, 2)))
    with pytest.raises(UserError, match="voxel grid differs"):
        evaluate(predictions, labels)


def test_classes_without_names_go_by_their_numbers(folders, tmp_path):
    predictions, labels = folders
    (tmp_path / "data" / "dataset.json").unlink()
    for folder in folders:
        write(folder / "x.nii.gz", [[[0, 4, 4]]])
    assert evaluate(predictions, labels).cases == {"x": {"label 4": 1.0}}


def test_a_number_that_one_case_lacks_is_absent_in_it(folders, tmp_path):
    predictions, labels = folders
    (tmp_path / "data" / "dataset.json").unlink()
    for folder in folders:
        write(folder / "x.nii.gz", [[[0, 4, 4]]])
        write(folder / "y.nii.gz", [[[10, 9, 9]]])
    result = evaluate(predictions, labels)
    assert [row.name for row in result.classes] == ["label 4", "label 9", "label 10"]
    assert result.cases["x"] == {"label 4": 1.0, "label 9": None, "label 10": None}
    assert evaluate(predictions, labels, options=ScoringOptions(count_absent=True)).cases["x"]["label 9"] == 1


@pytest.mark.parametrize("named", [False, True])
def test_the_background_is_scored_on_request(folders, tmp_path, named):
    predictions, labels = folders
    if not named:
        (tmp_path / "data" / "dataset.json").unlink()
    write(predictions / "x.nii.gz", [[[0, 0, 0, 1]]])
    write(labels / "x.nii.gz", [[[0, 0, 1, 1]]])
    scores = evaluate(predictions, labels, options=ScoringOptions(include_background=True)).cases["x"]
    assert list(scores.values())[:2] == pytest.approx([4 / 5, 2 / 3])


@pytest.mark.parametrize("apart", [False, True], ids=["in this process", "in processes"])
def test_a_case_that_fails_is_named_and_the_others_are_scored(folders, apart, monkeypatch):
    monkeypatch.setattr(Processes, "worth", lambda self, files: apart)
    predictions, labels = folders
    for name in ("good", "other", "undeclared"):
        for folder in folders:
            write(folder / f"{name}.nii.gz", np.ones((3, 3, 3)))
    write(predictions / "other.nii.gz", np.ones((3, 3, 4)))
    write(predictions / "undeclared.nii.gz", np.full((3, 3, 3), 9))
    seen = []
    result = evaluate(predictions, labels, Processes(2), on_case=lambda *case: seen.append(case))
    assert result.cases == {"good": {"a": 1.0, "b": None}}
    assert set(result.failed) == {"other", "undeclared"}
    assert "voxel grid differs" in result.failed["other"].reason
    assert result.failed["undeclared"].user_error
    assert [case[:2] for case in seen] == [(1, 3), (2, 3), (3, 3)]
    assert seen[-1][2] == 2


def test_the_estimate_grows_with_the_voxels_and_with_how_they_are_stored(tmp_path):
    def estimate(shape, dtype):
        path = tmp_path / "label.nii.gz"
        nib.save(nib.Nifti1Image(np.zeros(shape, dtype), np.eye(4)), path)
        return estimate_scoring(FilePair("x", path, path))

    small, large, wide = (estimate(*file) for file in (((9, 9, 9), "u1"), ((9, 9, 90), "u1"), ((9, 9, 9), "f8")))
    assert large - small > 4 * 2 * (9 * 9 * 81)  # two volumes, and masks of them
    assert wide > small


def test_numbered_files_are_cases_of_their_own(folders):
    names = [f"scan_{number:04d}" for number in range(6)]
    for folder in folders:
        for name in names:
            write(folder / f"{name}.nii.gz", np.ones((2, 2, 2)))
    assert [pair.name for pair in pair_files(*folders)] == names
    assert list(evaluate(*folders).cases) == names


@pytest.mark.parametrize("predicted", [["scan_0000"], ["scan_0001", "scan_0002"]])
def test_a_part_of_numbered_files_meets_its_labels(folders, predicted):
    predictions, labels = folders
    for number in range(4):
        write(labels / f"scan_{number:04d}.nii.gz", np.ones((2, 2, 2)))
    for name in predicted:
        write(predictions / f"{name}.nii.gz", np.ones((2, 2, 2)))
    assert [(pair.prediction.name, pair.truth.name) for pair in pair_files(*folders)] == [
        (f"{name}.nii.gz", f"{name}.nii.gz") for name in predicted
    ]
    assert len(evaluate(*folders).unpredicted) == 4 - len(predicted)


def test_the_label_of_a_scan_may_be_called_as_its_channel_file(folders):
    predictions, labels = folders
    write(labels / "p_0000.nii.gz", np.ones((2, 2, 2)))
    write(predictions / "p.nii.gz", np.ones((2, 2, 2)))
    (pair,) = pair_files(*folders)
    assert (pair.name, pair.truth) == ("p", labels / "p_0000.nii.gz")
    write(predictions / "p_0000.nii.gz", np.ones((2, 2, 2)))
    with pytest.raises(UserError, match=r"p.nii.gz"):
        pair_files(*folders)
