import numpy as np
import pytest

from nnunet_tf.evaluation.dice import dice, overlap_counts, summarize


def test_dice_of_known_masks():
    prediction = np.array([[1, 1, 0, 2], [1, 0, 0, 2]])
    truth = np.array([[1, 0, 0, 2], [1, 1, 0, 0]])
    counts = overlap_counts(prediction, truth, [1, 2])
    assert counts.tolist() == [[2, 3, 3], [1, 2, 1]]
    np.testing.assert_allclose(dice(counts), [2 * 2 / 6, 2 * 1 / 3])


def test_label_numbers_may_have_gaps():
    assert overlap_counts(np.array([0, 7, 7]), np.array([0, 7, 3]), [3, 7]).tolist() == [[0, 0, 1], [1, 2, 1]]


def test_absent_in_both_is_not_scored_and_absent_in_one_scores_zero():
    scores = dice(np.array([[0, 0, 0], [0, 5, 0], [0, 0, 5]]))
    assert np.isnan(scores[0])
    assert scores[1:].tolist() == [0, 0]


def test_a_summary_counts_what_its_means_stand_on():
    counts = np.array([[[4, 4, 4], [0, 0, 0]], [[0, 3, 0], [0, 0, 2]], [[0, 0, 0], [2, 4, 4]]])
    summary = summarize(["a", "b", "c"], ["liver", "tumour"], counts)
    liver, tumour = summary.classes
    assert (liver.mean_dice, liver.scored, liver.missed, liver.false_alarms) == (0.5, 2, 0, 1)
    assert (tumour.mean_dice, tumour.scored, tumour.missed, tumour.false_alarms) == (0.25, 2, 1, 0)
    assert summary.mean_dice == pytest.approx(0.375)
    assert summary.cases["a"] == {"liver": 1.0, "tumour": None}


def test_a_class_in_no_case_has_no_mean():
    summary = summarize(["a"], ["liver"], np.zeros((1, 1, 3), int))
    assert summary.classes[0].mean_dice is None
    assert summary.mean_dice is None
