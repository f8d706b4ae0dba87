import math

import numpy as np
import pytest

from nnunet_tf.evaluation.metrics.dice import Summary
from nnunet_tf.evaluation.metrics.scores import Score, outcome
from nnunet_tf.evaluation.summaries.summary import Evaluation, evaluation, statistics


def rows(**cases):
    """Dice of two structures for each case."""
    return [
        Score(case=case, structure=name, value=value, outcome=outcome(True, dice != 0), dice=dice, hd95_mm=distance)
        for case, scores in cases.items()
        for value, (name, (dice, distance)) in enumerate(zip(("liver", "tumour"), scores, strict=True), start=1)
    ]


SCORES = rows(a=((0.5, 3.0), (None, None)), b=((1.0, 1.0), (0.0, math.inf)), c=((0.9, 2.0), (0.8, 4.0)))


def test_statistics_are_those_of_what_is_counted():
    values = np.random.default_rng(0).random(8)
    found = statistics([None, *values, None])
    assert found.count == 8
    assert found.mean == pytest.approx(np.mean(values))
    assert found.deviation == pytest.approx(np.std(values, ddof=1))
    assert found.median == pytest.approx(np.median(values))


def test_infinite_distances_make_an_infinite_mean_and_a_median_that_tells():
    found = statistics([1.0, math.inf, 2.0])
    assert (found.count, found.mean, found.deviation, found.median) == (3, math.inf, None, 2.0)


def test_one_value_has_no_deviation_and_none_has_nothing():
    assert statistics([0.5]).deviation is None
    assert statistics([None]).model_dump() == {"count": 0, "mean": None, "deviation": None, "median": None}


def test_classes_are_summed_up_over_the_cases_and_the_mean_over_the_classes():
    result = evaluation(SCORES, worst=2)
    liver, tumour = result.classes
    assert (liver.mean_dice, liver.scored, liver.false_alarms) == (pytest.approx(0.8), 3, 0)
    assert (tumour.mean_dice, tumour.scored, tumour.false_alarms) == (pytest.approx(0.4), 2, 1)
    assert tumour.hd95_mm.mean == math.inf
    assert liver.nsd is None
    assert result.mean_dice == pytest.approx(0.6)
    assert result.all_classes.mean == pytest.approx(np.mean([0.5, 0.5, 0.85]))
    assert result.cases["a"] == {"liver": 0.5, "tumour": None}


def test_the_worst_cases_come_lowest_first_and_then_by_name():
    result = evaluation(SCORES, worst=2)
    assert [(each.case, each.dice) for each in result.classes[0].worst] == [("a", 0.5), ("c", 0.9)]
    assert [each.case for each in result.classes[1].worst] == ["b", "c"]
    assert [each.case for each in result.worst] == ["a", "b"]


def test_json_keeps_what_is_infinite_and_reads_as_a_plain_summary_too():
    result = evaluation(SCORES, worst=2, tolerance_mm=2.0)
    text = result.model_dump_json()
    assert Evaluation.model_validate_json(text) == result
    assert text.count('"Infinity"') == 3  # the score, mean and median
    plain = Summary.model_validate_json(text)
    assert (plain.mean_dice, plain.cases) == (result.mean_dice, result.cases)
