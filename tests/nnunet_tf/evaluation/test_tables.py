import math

import pytest

from nnunet_tf.evaluation.scores import Score
from nnunet_tf.evaluation.summary import evaluation
from nnunet_tf.evaluation.tables import print_evaluation, print_folds


def score(case, dice, distance, outcome="found"):
    return Score(case=case, structure="liver", value=1, outcome=outcome, dice=dice, nsd=dice, hd95_mm=distance)


@pytest.fixture
def printed(capsys):
    scores = [score("good", 0.75, 1.0), score("bad", 0.25, 3.0), score("gone", 0.0, math.inf, "missed")]
    print_evaluation("Scores", evaluation(scores, worst=2, tolerance_mm=1.5))
    return capsys.readouterr().out


def test_every_measure_has_mean_and_deviation(printed):
    assert "NSD 1.5 mm" in printed
    row = next(line for line in printed.splitlines() if "liver" in line)
    assert "0.3333 ± 0.3819" in row
    assert "inf, median 3.00" in row


def test_what_was_not_measured_has_no_column(printed):
    assert "HD95" in printed
    assert "ASSD" not in printed


def test_the_worst_cases_are_named(printed):
    assert "gone 0.000, bad 0.250" in printed
    assert "good 0" not in printed


def test_folds_stand_side_by_side(capsys):
    print_folds("Folds", ["liver"], [[0.5, None, 0.4, 0.6]])
    out = capsys.readouterr().out
    assert "fold 1" in out
    assert "0.6000" in out
