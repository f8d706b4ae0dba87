import math

import numpy as np
import pytest
from rich.console import Console

from nnunet_tf.evaluation.detection import Confusion, Detection
from nnunet_tf.evaluation.metrics.dice import summarize
from nnunet_tf.evaluation.metrics.scores import Score
from nnunet_tf.evaluation.reports.tables import print_detection, print_evaluation, print_folds, print_validation
from nnunet_tf.evaluation.summaries.folds import CrossValidation, DiceOfFolds, FoldScores
from nnunet_tf.evaluation.summaries.summary import evaluation
from nnunet_tf.evaluation.summaries.validation_scores import EpochScores, ValidationScores

LIVER = FoldScores(mean=0.5, deviation=None, folds=[0.4, 0.6])


def score(case, dice, distance, outcome="found"):
    return Score(case=case, structure="liver", value=1, outcome=outcome, dice=dice, nsd=dice, hd95_mm=distance)


def terminal(monkeypatch, width):
    """Prints go to a terminal of so many columns."""
    for module in ("nnunet_tf.evaluation.reports.layout", "nnunet_tf.runtime.console"):
        monkeypatch.setattr(f"{module}.wide_console", lambda: Console(width=width, force_terminal=False))


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
    terminal(monkeypatch, 80)
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


NAMES = [
    "kidney_left",
    "kidney_right",
    "gluteus maximus right with a name",
    *(f"vertebra_{number}" for number in "LTC"),
]


def hard_scores():
    """Six classes with every measure, cases with long names."""
    random = np.random.default_rng(0)
    for number in range(12):
        for value, name in enumerate(NAMES, 1):
            missed = number == 0 and value == 1
            dice, distance = (0.0, math.inf) if missed else (random.uniform(0.9, 1), random.uniform(1, 99))
            yield Score(
                case=f"patient {number:03d} of the second visit_{number:040d}", structure=name, value=value,
                outcome="missed" if missed else "found", dice=dice, nsd=dice, hd95_mm=distance, assd_mm=distance / 3,
                predicted_ml=1500.0, true_ml=1.0, difference_ml=random.uniform(-1500, 1500),
            )  # fmt: skip


@pytest.mark.parametrize("width", [80, 100, 200])
def test_every_number_and_name_is_whole_at_any_width(capsys, monkeypatch, width):
    terminal(monkeypatch, width)
    result = evaluation(list(hard_scores()), worst=3, tolerance_mm=2)
    print_evaluation("6 cases, mean ± deviation", result)
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert "…" not in out
    for row in result.classes:
        own = [line for line in lines if f" {row.name} " in line]
        shown = " | ".join(own)
        for over, digits in ((row.dice, 4), (row.nsd, 4), (row.assd_mm, 2), (row.difference_ml, 2)):
            if math.isfinite(over.mean):
                assert f" {over.mean:.{digits}f} ± {over.deviation:.{digits}f} " in shown
        assert f" {row.dice.median:.4f} " in shown
        for worst in row.worst:
            assert any(f"{worst.case} {worst.dice:.3f}" in line for line in lines)
    assert max(len(line) for line in lines if "│" in line) <= width


@pytest.mark.parametrize("width", [80, 100, 200])
def test_ten_folds_and_a_detection_are_whole_at_any_width(capsys, monkeypatch, width):
    terminal(monkeypatch, width)
    wide = FoldScores(mean=0.8853, deviation=0.0051, folds=[0.8001 + number / 1000 for number in range(10)])
    print_folds("Folds", CrossValidation(classes={"kidney_left": wide}, all_classes=wide))
    out = capsys.readouterr().out
    assert all(out.count(f"{value:.4f}") == 2 for value in wide.folds)
    assert max(map(len, out.splitlines())) <= width
    row = Confusion(
        threshold=0.125, true_positives=123456, false_positives=1, true_negatives=999999, false_negatives=7,
        sensitivity=0.98765, specificity=0.12345, accuracy=1.0,
    )  # fmt: skip
    print_detection("Detection", Detection(images=[], table=[row]))
    out = capsys.readouterr().out
    assert all(word in out for word in ("0.125", "123456", "999999", "0.9877", "0.1235", "1.0000"))
    assert max(map(len, out.splitlines())) <= width
