"""Scores as a table on the terminal."""

import math
from collections.abc import Sequence

from rich.table import Table

from nnunet_tf.evaluation.detection import Detection
from nnunet_tf.evaluation.summaries.folds import CrossValidation
from nnunet_tf.evaluation.summaries.summary import Evaluation, Statistics, WorstCase
from nnunet_tf.evaluation.summaries.validation_scores import ValidationScores
from nnunet_tf.runtime.console import wide_console


def print_validation(title: str, scores: ValidationScores) -> None:
    """Prints mean Dice per class of the best and the last epoch, with the counts that the best's mean stands on."""
    last = scores.last
    best = "Dice" if scores.epoch is None else f"best\n(epoch {scores.epoch + 1})"
    dice = [best, *([f"last\n(epoch {last.epoch + 1})"] if last else [])]
    table = _table(title, ("class", *dice, "cases\nscored", "missed", "false\nalarms"))
    for row in scores.classes:
        means = [row.mean_dice, *([last.classes[row.name]] if last else [])]
        table.add_row(row.name, *map(_score, means), str(row.scored), str(row.missed), str(row.false_alarms))
    table.add_section()
    table.add_row("mean", _score(scores.mean_dice), *([_score(last.mean_dice)] if last else []))
    wide_console().print(table)


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
    table = _table(title, headings)
    for row in result.classes:
        measured = [_spread(getattr(row, name), digits=4 if name == "nsd" else 2) for name in shown]
        counts = (str(row.scored), str(row.missed), str(row.false_alarms))
        table.add_row(row.name, _spread(row.dice), _score(row.dice.median), *measured, *counts)
    table.add_section()
    table.add_row("mean", _score(result.mean_dice))
    wide_console().print(table)
    worst = _table("Lowest Dice", ("class", "cases"), right=False)
    for row in result.classes:
        worst.add_row(row.name, _listed(row.worst))
    worst.add_section()
    worst.add_row("mean of all", _listed(result.worst))
    wide_console().print(worst)


def print_folds(title: str, result: CrossValidation) -> None:
    """Prints mean, deviation and every fold's Dice, by class: of the best epochs, then of the last ones."""
    folds = [f"fold {fold}" for fold in range(len(result.all_classes.folds))]
    table = _table(title, ("Dice", "mean", "deviation", *folds))
    for which, dice in (("best epoch", result), ("last epoch", result.last)):
        if dice:
            table.add_section()
            table.add_row(which)
            for name, row in (*dice.classes.items(), ("mean", dice.all_classes)):
                table.add_row(f"  {name}", *map(_score, (row.mean, row.deviation, *row.folds)))
    wide_console().print(table)


def print_detection(title: str, result: Detection) -> None:
    """Prints the confusion table, a row a threshold."""
    counts = ("true positives", "false positives", "true negatives", "false negatives")
    table = _table(title, ("threshold", *counts, "sensitivity", "specificity", "accuracy"))
    for row in result.table:
        numbers = [str(getattr(row, name.replace(" ", "_"))) for name in counts]
        table.add_row(f"{row.threshold:g}", *numbers, *map(_score, (row.sensitivity, row.specificity, row.accuracy)))
    wide_console().print(table)


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _table(title: str, headings: Sequence[str], right: bool = True) -> Table:
    """An empty table; numbers stand on the right, what they belong to on the left. Names are never cut short."""
    table = Table(title=title)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if right and index else "left", overflow="fold")
    return table


def _spread(over: Statistics | None, digits: int = 4) -> str:
    if over is None or over.mean is None:
        return "-"
    if math.isinf(over.mean) and over.median is not None:
        return f"inf, median {over.median:.{digits}f}"
    deviation = "" if over.deviation is None else f" ± {over.deviation:.{digits}f}"
    return f"{over.mean:.{digits}f}{deviation}"


def _listed(cases: Sequence[WorstCase]) -> str:
    return ", ".join(f"{each.case} {each.dice:.3f}" for each in cases) or "-"
