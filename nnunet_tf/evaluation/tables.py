"""Scores as a table on the terminal."""

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


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
