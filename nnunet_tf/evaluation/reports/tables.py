"""Scores as a table on the terminal."""

import math
from collections.abc import Sequence

from nnunet_tf.evaluation.detection import Detection
from nnunet_tf.evaluation.reports.layout import print_listed, print_rows
from nnunet_tf.evaluation.summaries.comparison import Comparison
from nnunet_tf.evaluation.summaries.folds import CrossValidation
from nnunet_tf.evaluation.summaries.summary import Evaluation, Statistics, WorstCase
from nnunet_tf.evaluation.summaries.validation_scores import ValidationScores


def print_validation(title: str, scores: ValidationScores) -> None:
    """Prints mean Dice per class of the best and the last epoch, with the counts that the best's mean stands on."""
    last = scores.last
    best = "Dice" if scores.epoch is None else f"best\n(epoch {scores.epoch + 1})"
    dice = [best, *([f"last\n(epoch {last.epoch + 1})"] if last else [])]
    rows = []
    for row in scores.classes:
        means = [row.mean_dice, *([last.classes[row.name]] if last else [])]
        rows.append((row.name, *map(_score, means), str(row.scored), str(row.missed), str(row.false_alarms)))
    total = ("mean", _score(scores.mean_dice), *([_score(last.mean_dice)] if last else []))
    print_rows(title, ("class", *dice, "cases scored", "missed", "false alarms"), rows, total)


def print_evaluation(title: str, result: Evaluation) -> None:
    """Prints every structure's scores, mean ± deviation, then the cases of lowest Dice by name."""
    measures = {
        "nsd": f"NSD {result.tolerance_mm:g} mm" if result.tolerance_mm is not None else "NSD",
        "hd95_mm": "HD95 (mm)",
        "assd_mm": "ASSD (mm)",
        "difference_ml": "volume difference (ml)",
    }
    shown = {
        name: heading for name, heading in measures.items() if any(getattr(row, name) for row in result.classes)
    }  # fmt: skip
    headings = ("class", "Dice", "median", *shown.values(), "cases scored", "missed", "false alarms")
    rows = []
    for row in result.classes:
        measured = [_spread(getattr(row, name), digits=4 if name == "nsd" else 2) for name in shown]
        counts = (str(row.scored), str(row.missed), str(row.false_alarms))
        rows.append((row.name, _spread(row.dice), _score(row.dice.median), *measured, *counts))
    print_rows(title, headings, rows, ("mean", _score(result.mean_dice)))
    worst = [(row.name, _listed(row.worst)) for row in result.classes]
    print_listed("Lowest Dice", [*worst, ("mean of all", _listed(result.worst))])


def print_comparison(title: str, rows: Sequence[Comparison]) -> None:
    """Prints Dice here and there, their difference with its interval, and Wilcoxon's p, a row per structure."""
    headings = ("class", "here", "there", "difference", "95% interval", "p", "better", "worse", "cases")
    shown = []
    for row in rows:
        interval = "-" if row.interval is None else "{:+.4f} to {:+.4f}".format(*row.interval)
        p_value = "-" if row.p_value is None else f"{row.p_value:.2g}"
        numbers = (_score(row.here), _score(row.there), f"{row.difference:+.4f}", interval, p_value)
        shown.append((row.structure, *numbers, str(row.better), str(row.worse), str(row.cases)))
    print_rows(title, headings, shown)


def print_folds(title: str, result: CrossValidation) -> None:
    """Prints mean, deviation and every fold's Dice, by class: of the best epochs, then of the last ones."""
    folds = [f"fold {fold}" for fold in range(len(result.all_classes.folds))]
    headings = ("Dice", "mean", "deviation", *folds)
    for which, dice in (("best epoch", result), ("last epoch", result.last)):
        if dice:
            rows = [
                (name, *map(_score, (row.mean, row.deviation, *row.folds)))
                for name, row in (*dice.classes.items(), ("mean", dice.all_classes))
            ]
            print_rows(f"{title}, {which}", headings, rows[:-1], rows[-1])


def print_detection(title: str, result: Detection) -> None:
    """Prints the confusion table, a row a threshold."""
    counts = ("true positives", "false positives", "true negatives", "false negatives")
    rows = []
    for row in result.table:
        numbers = [str(getattr(row, name.replace(" ", "_"))) for name in counts]
        scores = map(_score, (row.sensitivity, row.specificity, row.accuracy))
        rows.append((f"{row.threshold:g}", *numbers, *scores))
    print_rows(title, ("threshold", *counts, "sensitivity", "specificity", "accuracy"), rows)


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _spread(over: Statistics | None, digits: int = 4) -> str:
    if over is None or over.mean is None:
        return "-"
    if math.isinf(over.mean) and over.median is not None:
        return f"inf, median {over.median:.{digits}f}"
    deviation = "" if over.deviation is None else f" ± {over.deviation:.{digits}f}"
    return f"{over.mean:.{digits}f}{deviation}"


def _listed(cases: Sequence[WorstCase]) -> list[str]:
    return [f"{each.case} {each.dice:.3f}" for each in cases] or ["-"]
