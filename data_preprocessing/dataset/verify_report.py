"""Findings for people and for machines."""

import json
from collections.abc import Sequence
from itertools import groupby

from rich.table import Table
from rich.text import Text

from data_preprocessing.common.text import counted
from data_preprocessing.images.checks.finding import Finding

NOTHING = "nothing to report"
FILES_SHOWN = 5  # of those that share one problem


def findings_table(findings: Sequence[Finding], command: str = "", whole_paths: bool = False) -> Table:
    """Returns a table of findings in the order given; neighbours that differ in nothing but their file share a line.

    Without any finding its one line says so. Where not all files are shown, `command`, which lists them, stands below.
    With `whole_paths` none is broken, whatever the width: `print_whole`.
    """
    if not findings:
        table = Table(show_header=False)
        table.add_row(NOTHING)
        return table
    table = Table(title=summary(findings), show_lines=True)
    longest = max(len(finding.file) for finding in findings) if whole_paths else None
    for heading in ("", "where", "problem", "what to do"):
        table.add_column(heading, overflow="fold", min_width=longest if heading == "where" else None)
    for _, group in groupby(
        findings, key=lambda finding: (finding.level, finding.row, finding.problem, finding.remedy)
    ):
        alike = list(group)
        style = "bold red" if alike[0].level == "error" else "yellow"
        table.add_row(Text(alike[0].level, style), Text(_places(alike)), Text(alike[0].problem), Text(alike[0].remedy))
        if command and len(alike) > FILES_SHOWN:
            table.caption = Text(f"all files: {command}")
    return table


def findings_json(findings: Sequence[Finding]) -> str:
    """Returns a JSON object with the numbers of errors and warnings and the list of findings, each with its kind."""
    content = {
        "errors": _count(findings, "error"),
        "warnings": _count(findings, "warning"),
        "findings": [
            {
                "level": finding.level,
                "kind": finding.row.name.lower(),
                "row": int(finding.row),
                "case": finding.case,
                "file": finding.file,
                "problem": finding.problem,
                "remedy": finding.remedy,
            }
            for finding in findings
        ],
    }
    return json.dumps(content, indent=1)


def summary(findings: Sequence[Finding]) -> str:
    """Returns how many findings there are, in words.

    >>> summary([])
    'nothing to report'
    """
    counts = [(_count(findings, level), level) for level in ("error", "warning")]
    return ", ".join(counted(count, level) for count, level in counts if count) or NOTHING


def _count(findings: Sequence[Finding], level: str) -> int:
    return sum(finding.level == level for finding in findings)


def _places(findings: Sequence[Finding]) -> str:
    shown = [finding.file for finding in findings[:FILES_SHOWN]]
    rest = len(findings) - len(shown)
    return "\n".join([*shown, *([f"and {rest} more"] if rest else [])])
