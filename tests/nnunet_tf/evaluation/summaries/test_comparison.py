import numpy as np
import pytest
from scipy.stats import bootstrap, wilcoxon

from nnunet_tf.evaluation.metrics.scores import Score
from nnunet_tf.evaluation.summaries.comparison import compare

RANDOM = np.random.default_rng(3)
HERE, THERE = RANDOM.uniform(0.7, 0.9, (2, 40))


def scores(dice, structure="liver"):
    return [Score(case=f"{index}", structure=structure, value=1, dice=each) for index, each in enumerate(dice)]


def test_difference_interval_and_p_are_scipys():
    (row,) = compare(scores(HERE), scores(THERE))
    difference = HERE - THERE
    assert row.difference == pytest.approx(difference.mean())
    assert row.p_value == pytest.approx(wilcoxon(HERE, THERE).pvalue)
    expected = bootstrap((difference,), np.mean, method="percentile", n_resamples=20000).confidence_interval
    assert row.interval == pytest.approx(tuple(expected), abs=0.003)
    assert (row.better, row.worse) == (np.count_nonzero(difference > 0), np.count_nonzero(difference < 0))


def test_cases_are_paired_by_name_and_those_not_scored_in_both_are_left_out():
    here = scores([0.5, 0.7, None, 0.9])
    there = [score for score in reversed(scores([0.4, 0.9, 0.8, 0.6])) if score.case != "3"]
    (row,) = compare(here, there)
    assert row.cases == 2
    assert row.difference == pytest.approx((0.1 - 0.2) / 2)


def test_the_mean_over_structures_is_compared_case_by_case():
    here = [*scores([0.5, 0.6]), *scores([0.7, 0.2], "spleen")]
    there = [*scores([0.4, 0.6]), *scores([0.7, 0.4], "spleen")]
    rows = compare(here, there)
    assert [row.structure for row in rows] == ["liver", "spleen", "mean"]
    assert rows[-1].difference == pytest.approx((0.05 - 0.1) / 2)


def test_the_same_results_do_not_differ():
    (row,) = compare(scores(HERE), scores(HERE))
    assert (row.difference, row.p_value, row.interval) == (0, 1, (0, 0))


def test_one_case_has_no_interval():
    (row,) = compare(scores([0.5]), scores([0.4]))
    assert row.interval is None
    assert row.p_value is None
