import numpy as np
import pytest

from data_preprocessing.common.task import StatedRegion
from data_preprocessing.planning.plan import make_plan
from nnunet_tf.evaluation.metrics import dice as dice_module
from nnunet_tf.evaluation.metrics.dice import (
    dice,
    histogram_counts,
    joint_histogram,
    mask_counts,
    overlap_counts,
    predicted_masks,
    prediction_counts,
    summarize,
    true_masks,
)
from tests.data_preprocessing.samples import make_config, make_dataset

NESTED = {"whole": StatedRegion(labels=(1, 2, 5), value=1), "core": StatedRegion(labels=(2, 5), value=2)}


def plan_of(regions=None):
    labels = {0: "background", 1: "edema", 2: "necrosis", 5: "enhancing"}
    return make_plan(make_config(regions=regions), make_dataset(labels=labels), 3)


def test_dice_of_known_masks():
    prediction = np.array([[1, 1, 0, 2], [1, 0, 0, 2]])
    truth = np.array([[1, 0, 0, 2], [1, 1, 0, 0]])
    counts = overlap_counts(prediction, truth, [1, 2])
    assert counts.tolist() == [[2, 3, 3], [1, 2, 1]]
    np.testing.assert_allclose(dice(counts), [2 * 2 / 6, 2 * 1 / 3])


def test_label_numbers_may_have_gaps():
    assert overlap_counts(np.array([0, 7, 7]), np.array([0, 7, 3]), [3, 7]).tolist() == [[0, 0, 1], [1, 2, 1]]


@pytest.mark.parametrize(("dtype", "numbers"), [(np.uint8, (1, 2, 41, 200)), (np.uint16, (7, 900, 1023, 1024, 60000))])
def test_the_counts_are_those_of_the_masks_one_by_one(dtype, numbers, monkeypatch):
    monkeypatch.setattr(dice_module, "BLOCK", 100)  # several blocks, the last one partly filled
    prediction, truth = np.random.default_rng(0).choice((0, *numbers[:-1]), (2, 5, 7, 9)).astype(dtype)
    expected = [confusion_row(prediction == number, truth == number) for number in numbers]
    counts = overlap_counts(prediction, truth, numbers)
    assert (counts.tolist(), counts.dtype) == (expected, np.int64)
    assert overlap_counts(prediction, truth, []).shape == (0, 3)


def test_the_joint_histogram_counts_pairs():
    prediction, truth = np.array([[0, 1], [1, 2]], np.uint8), np.array([[0, 3], [3, 0]], np.uint8)
    assert joint_histogram(prediction, truth, 3, 4).tolist() == [[1, 0, 0, 0], [0, 0, 0, 2], [1, 0, 0, 0]]


def test_a_structure_of_several_labels_is_counted_as_their_union():
    prediction, truth = np.random.default_rng(1).integers(0, 4, (2, 300))
    histogram = joint_histogram(prediction, truth, 4, 4)
    counts = histogram_counts(histogram, (1, 3), (2, 3))
    assert list(counts) == confusion_row(np.isin(prediction, (1, 3)), np.isin(truth, (2, 3)))


def test_absent_in_both_scores_what_is_asked_for():
    assert dice(np.array([[0, 0, 0], [0, 5, 0]]), absent=1.0).tolist() == [1, 0]


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


def test_classes_are_counted_where_their_logit_is_the_highest():
    random = np.random.default_rng(0)
    logits, truth = random.normal(size=(4, 5, 6, 4)), random.integers(0, 4, (4, 5, 6))
    expected = [
        confusion_row(logits.argmax(axis=-1) == index, truth == index)
        for index in (1, 2, 3)  # class indices, although the last one's label number is 5
    ]
    assert prediction_counts(logits, truth, plan_of()).tolist() == expected


def test_regions_are_counted_where_their_own_logit_is_positive_against_the_union_of_their_classes():
    random = np.random.default_rng(0)
    logits, truth = random.normal(size=(4, 5, 6, 2)), random.integers(0, 4, (4, 5, 6))
    sigmoid = 1 / (1 + np.exp(-logits))
    expected = [
        confusion_row(sigmoid[..., 0] > 0.5, truth > 0),
        confusion_row(sigmoid[..., 1] > 0.5, (truth == 2) | (truth == 3)),
    ]
    counts = prediction_counts(logits, truth, plan_of(NESTED))
    assert (counts.tolist(), counts.dtype) == (expected, np.int64)


@pytest.mark.parametrize("regions", [None, NESTED])
def test_there_is_one_mask_for_each_scored_structure(regions):
    plan = plan_of(regions)
    shape = (len(plan.scored), 2, 3, 4)
    predicted = np.stack(list(predicted_masks(np.zeros((2, 3, 4, plan.outputs)), plan)))
    true = np.stack(list(true_masks(np.ones((2, 3, 4)), plan)))
    assert (predicted.shape, predicted.dtype) == (true.shape, true.dtype) == (shape, bool)
    assert not predicted.any()
    assert true[0].all()
    assert not true[1:].any()
    assert mask_counts(predicted, true)[0].tolist() == [0, 0, 24]


def confusion_row(predicted, true):
    """By adding up, as the oracle."""
    return [int((predicted * true).sum()), int(predicted.sum()), int(true.sum())]
