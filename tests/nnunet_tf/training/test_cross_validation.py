import numpy as np
import pytest

from nnunet_tf.evaluation.dice import summarize
from nnunet_tf.training.cross_validation import over_folds


def summary(*dice):
    """Of one case, with that Dice for each class; None: the class is absent."""
    counts = [[0, 0, 0] if score is None else [round(100 * score), 100, 100] for score in dice]
    return summarize(["case"], [f"class_{index}" for index in range(len(dice))], np.array([counts]))


def test_mean_and_deviation_are_those_of_the_folds():
    folds = [(0.8, 0.6), (0.9, 0.7), (0.7, 0.9)]
    result = over_folds([summary(*dice) for dice in folds])
    first = result.classes["class_0"]
    assert first.folds == [0.8, 0.9, 0.7]
    assert first.mean == pytest.approx(0.8)
    assert first.deviation == pytest.approx(np.std([0.8, 0.9, 0.7], ddof=1))
    means = [np.mean(dice) for dice in folds]
    assert result.all_classes.mean == pytest.approx(np.mean(means))
    assert result.all_classes.deviation == pytest.approx(np.std(means, ddof=1))


def test_a_class_absent_in_one_fold_is_averaged_over_the_others():
    result = over_folds([summary(0.8, None), summary(0.6, 0.5)])
    lone = result.classes["class_1"]
    assert (lone.mean, lone.deviation, lone.folds) == (0.5, None, [None, 0.5])
