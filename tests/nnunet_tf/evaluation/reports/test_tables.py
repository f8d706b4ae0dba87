import math

import numpy as np
import pytest
from rich.console import Console

from nnunet_tf.evaluation.metrics.dice import summarize
from nnunet_tf.evaluation.metrics.scores import Score
from nnunet_tf.evaluation.reports.tables import print_evaluation, print_folds, print_validation
from nnunet_tf.evaluation.summaries.folds import CrossValidation, DiceOfFolds, FoldScores
from nnunet_tf.evaluation.summaries.summary import evaluation
from nnunet_tf.evaluation.summaries.validation_scores import EpochScores, ValidationScores

LIVER = FoldScores(mean=0.5, deviation=None, folds=[0.4, 0.6])


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
    scores = DiceOfFolds(classes={"liver": LIVER}, all_classes=LIVER)
    print_folds("Folds", CrossValidation(**dict(scores)))
    out = capsys.readouterr().out
    assert "fold 1" in out
    assert "0.6000" in out
    assert "last epoch" not in out
    print_folds("Folds", CrossValidation(**dict(scores), last=scores))
    assert capsys.readouterr().out.count("0.6000") == 4


def test_a_validation_of_five_folds_and_of_one_fits_into_80_columns(capsys, monkeypatch):
    monkeypatch.setattr("nnunet_tf.evaluation.reports.tables.wide_console", lambda: Console(width=80))
    wide = FoldScores(mean=0.8853, deviation=0.0051, folds=[0.8841] * 5)
    scores = DiceOfFolds(classes={"anterior": wide}, all_classes=wide)
    print_folds("Folds", CrossValidation(**dict(scores), last=scores))
    assert capsys.readouterr().out.count("0.8841") == 4 * 5
    summary = summarize(["a"], ["hepatic vessel"], np.array([[[1, 2, 2]]]))
    last = EpochScores(epoch=999, mean_dice=0.25, classes={"hepatic vessel": 0.25})
    print_validation("Validation", ValidationScores(**dict(summary), epoch=899, last=last))
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if "hepatic vessel" in line)
    assert [word for word in row.split() if word.replace(".", "").isdigit()] == ["0.5000", "0.2500", "1", "0", "0"]
    assert "epoch 900" in out
    assert "epoch 1000" in out
