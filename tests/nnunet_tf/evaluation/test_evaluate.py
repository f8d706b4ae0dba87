import json

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.errors import UserError
from nnunet_tf.evaluation.evaluate import evaluate


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
    summary = evaluate(predictions, labels)
    assert summary.cases == {"x": {"a": 1.0, "b": pytest.approx(2 / 3)}}


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
