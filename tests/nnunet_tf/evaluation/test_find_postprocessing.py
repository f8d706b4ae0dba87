import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.jobs.backend import Processes
from nnunet_tf.evaluation.find_postprocessing import count_alternatives, decide, find_postprocessing
from nnunet_tf.evaluation.metrics.dice import dice, overlap_counts
from nnunet_tf.inference.postprocessing.settings import Postprocessing, apply

NUMBERS = (1, 2)


def row(*runs):
    """A volume of one row from `(number, voxels)` runs."""
    return np.concatenate([np.full(voxels, number, np.uint8) for number, voxels in runs]).reshape(1, 1, -1)


def decided(*cases):
    return decide(np.array([count_alternatives(prediction, truth, NUMBERS) for prediction, truth in cases]), NUMBERS)


def settings(found):
    return found.keep_largest_foreground, found.keep_largest


def test_counts_are_those_of_the_postprocessed_segmentations():
    random = np.random.default_rng(0)
    numbers = [1, 2, 5, 9]
    prediction = random.choice([0, 0, 0, 0, 0, 0, 1, 2, 5, 7], (10, 11, 12)).astype(np.uint8)
    truth = random.choice([0, 1, 2, 9], prediction.shape).astype(np.uint16)
    counts = count_alternatives(prediction, truth, numbers)
    for foreground in (False, True):
        for largest in (False, True):
            postprocessing = Postprocessing(
                keep_largest_foreground=foreground, keep_largest=(1, 2, 5, 7) if largest else ()
            )
            expected = overlap_counts(apply(prediction.copy(), postprocessing), truth, numbers)
            np.testing.assert_array_equal(counts[int(foreground), int(largest)], expected)


def test_numbers_that_are_not_scored_may_be_as_large_as_they_like():
    prediction, truth = (row((1, 3), (0, 1)).astype(np.uint32) for _ in range(2))
    prediction[..., 2], truth[..., 3] = 4 * 10**9, 3 * 10**9
    assert count_alternatives(prediction, truth, [1])[0, 0].tolist() == [[2, 2, 3]]


def test_a_false_island_of_foreground_is_removed_where_no_class_falls():
    truth = row((1, 6), (2, 6), (0, 8))
    found = decided((row((1, 6), (2, 6), (0, 3), (1, 3), (0, 2)), truth))
    assert settings(found) == (True, ())
    assert (found.cases, found.dice_before, found.dice_after) == (1, pytest.approx((12 / 15 + 1) / 2), 1.0)


def test_foreground_is_left_alone_where_one_class_falls_although_the_mean_rises():
    truth = row((1, 8), (0, 6), (2, 1), (0, 5))
    prediction = row((1, 8), (0, 1), (1, 2), (0, 1), (1, 2), (2, 1), (0, 5))  # class 2 hangs on an island of class 1
    false_alarm = (row((2, 4), (0, 3), (1, 3)), row((2, 4), (0, 6)))
    counts = np.array([count_alternatives(*case, NUMBERS) for case in ((prediction, truth), false_alarm)])
    before, after = (np.nanmean(dice(counts[:, kept, 0]), axis=0) for kept in (0, 1))
    assert after.mean() > before.mean()
    assert after[1] < before[1]
    assert settings(decide(counts, NUMBERS)) == (False, (1,))


def test_a_class_may_rise_alone():
    truth = row((1, 6), (0, 5), (2, 3), (0, 2))
    found = decided((row((1, 6), (0, 1), (1, 1), (0, 3), (2, 3), (1, 2)), truth))
    assert settings(found) == (False, (1,))
    assert found.dice_after == 1.0


def test_a_class_is_judged_by_its_mean_over_the_cases():
    gains = (row((2, 6), (0, 2), (2, 1)), row((2, 6), (0, 3)))
    loses = (row((2, 3), (0, 1), (2, 2)), row((2, 3), (0, 1), (2, 2)))  # two true parts
    assert settings(decided(gains)) == (True, ())
    assert settings(decided(gains, loses)) == (False, ())


def test_segmentations_of_one_component_gain_nothing():
    truth = row((1, 3), (2, 3), (0, 3))
    found = decided((truth, truth), (row((1, 2), (2, 4), (0, 3)), truth))
    assert settings(found) == (False, ())
    assert found.dice_before == found.dice_after


def test_a_class_that_no_case_has_neither_rises_nor_falls():
    found = decided((row((1, 4), (0, 2), (1, 1)), row((1, 4), (0, 3))))
    assert settings(found) == (True, ())
    assert (found.dice_before, found.dice_after) == (pytest.approx(8 / 9), 1.0)


def test_nothing_to_score_is_nothing_to_postprocess():
    found = decided((row((0, 5)), row((0, 5))))
    assert (settings(found), found.dice_before, found.dice_after) == ((False, ()), None, None)


@pytest.fixture
def folders(tmp_path):
    for name in ("predictions", "labels"):
        (tmp_path / name).mkdir()
    return tmp_path / "predictions", tmp_path / "labels"


def write(path, voxels, affine=None):
    nib.save(nib.Nifti1Image(voxels, np.eye(4) if affine is None else affine), path)


@pytest.mark.parametrize("apart", [False, True])
def test_files_of_the_same_name_are_compared(folders, apart, monkeypatch):
    monkeypatch.setattr(Processes, "worth", lambda self, files: apart)
    predictions, labels = folders
    for case in ("a", "b"):
        write(labels / f"{case}.nii.gz", row((1, 6), (2, 6), (0, 8)))
        write(predictions / f"{case}.nii.gz", row((1, 6), (2, 6), (0, 3), (1, 3), (0, 2)))
    write(labels / "unpredicted.nii.gz", row((1, 20)))
    names = {0: "background", 1: "liver", 2: "tumour"}
    found = find_postprocessing(predictions, labels, names, Processes(2))
    assert (settings(found), found.cases) == ((True, ()), 2)


@pytest.mark.parametrize("apart", [False, True])
def test_a_prediction_without_label_or_on_another_grid_is_refused(folders, apart, monkeypatch):
    monkeypatch.setattr(Processes, "worth", lambda self, files: apart)
    predictions, labels = folders
    write(predictions / "x.nii.gz", row((1, 4)))
    write(labels / "y.nii.gz", row((1, 4)))
    with pytest.raises(UserError, match=r"x.nii.gz: has no label"):
        find_postprocessing(predictions, labels, NUMBERS)
    write(labels / "x.nii.gz", row((1, 4)), np.diag([2, 1, 1, 1]))
    with pytest.raises(UserError, match=r"x.nii.gz: its voxel grid differs"):
        find_postprocessing(predictions, labels, NUMBERS)
