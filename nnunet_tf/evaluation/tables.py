"""Scores as a table on the terminal."""

from collections.abc import Sequence

from rich.table import Table

from nnunet_tf.evaluation.dice import Summary
from nnunet_tf.runtime.console import wide_console


def print_summary(title: str, summary: Summary) -> None:
    """Prints mean Dice a class, with the counts that the mean stands on."""
    table = Table(title=title)
    for heading in ("class", "Dice", "cases scored", "missed", "false alarms"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for row in summary.classes:
        table.add_row(row.name, _score(row.mean_dice), str(row.scored), str(row.missed), str(row.false_alarms))
    table.add_section()
    table.add_row("mean", _score(summary.mean_dice), "", "", "")
    wide_console().print(table)


def print_folds(title: str, names: Sequence[str], rows: Sequence[Sequence[float | None]]) -> None:
    """Prints a table of `rows` (mean, deviation, fold 0, fold 1, ...), one for each of `names`."""
    table = Table(title=title)
    for heading in ("Dice", "mean", "deviation", *(f"fold {fold}" for fold in range(len(rows[0]) - 2))):
        table.add_column(heading, justify="left" if heading == "Dice" else "right")
    for name, row in zip(names, rows, strict=True):
        table.add_row(name, *(_score(value) for value in row))
    wide_console().print(table)


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
