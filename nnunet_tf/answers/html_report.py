"""One HTML file about a folder of segmentations: its run, a table to sort, a picture per case. It loads nothing."""

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import read_model, write_text
from nnunet_tf.answers.case_answers import PREVIEW
from nnunet_tf.answers.run_record import RUN_NAME, RunRecord
from nnunet_tf.answers.statistics import CaseStatistics, StructureStatistics
from nnunet_tf.answers.statistics_files import read_cases

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
STYLE = """
body { font: 14px/1.5 sans-serif; margin: 2em; color: #222; background: #fff }
table { border-collapse: collapse } th, td { padding: .2em .7em; border-bottom: 1px solid #ccc; text-align: right }
th { cursor: pointer; background: #eee; position: sticky; top: 0 } td.text, th.text { text-align: left }
tr.flagged td { background: #fff3d6 } img { max-width: 100%; background: #000 } summary { cursor: pointer }
"""
SCRIPT = """
for (const heading of document.querySelectorAll("th")) heading.addEventListener("click", () => {
  const body = heading.closest("table").tBodies[0], place = heading.cellIndex;
  const up = heading.dataset.up !== "1"; heading.dataset.up = up ? "1" : "0";
  const key = row => row.cells[place].dataset.value ?? row.cells[place].textContent;
  const order = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    const numbers = [Number(a), Number(b)];
    const by = numbers.some(Number.isNaN) ? a.localeCompare(b) : numbers[0] - numbers[1];
    return up ? by : -by;
  };
  [...body.rows].sort((a, b) => order(key(a), key(b))).forEach(row => body.append(row));
});
"""
SCORES = ("dice", "nsd", "hd95_mm")
Scores = Mapping[tuple[str, str], Mapping[str, object]]  # by case and structure
TEXT = ("case", "structure", "look at")


def write_report(path: Path, folder: Path, scores: Path | None = None) -> int:
    """Writes the report on the statistics, pictures and run record in `folder`; returns how many cases it shows.

    `scores` is what evaluate.py --json wrote. Raises UserError where there are no statistics, or scores are none.
    """
    cases = sorted(read_cases(folder), key=lambda case: (not case.flags, case.case))
    if not cases:
        raise UserError(f"{folder}: holds no statistics; predict with --statistics, or run nnunet-tf statistics")
    known = _read_scores(scores) if scores else {}
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        f"<title>{escape(folder.resolve().name)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(folder.resolve().name)}</h1>",
        _run(folder),
        _table(cases, known),
        *(_picture(folder, case) for case in cases),
        f"<script>{SCRIPT}</script></body></html>",
    ]
    write_text(path, "\n".join(part for part in parts if part) + "\n")
    return len(cases)


def _run(folder: Path) -> str:
    """What made the segmentations, where that is known."""
    path = folder / RUN_NAME
    if not path.is_file():
        return ""
    record = read_model(path, RunRecord, "remove it")
    models = ", ".join(f"{model.task} {model.fold} (SHA-256 {model.sha256[:12]})" for model in record.models)
    device = f" on {record.device.name}" if record.device else ""
    line = f"{record.program}, {record.status}, started {record.started}{device}. Models: {models or 'unknown'}."
    return f"<p>{escape(line)}</p>"


def _table(cases: Sequence[CaseStatistics], scores: Scores) -> str:
    in_pixels = all(case.unit != "mm" for case in cases)
    size = "area (pixels)" if in_pixels else "volume (ml)"
    channels = list(dict.fromkeys(name for case in cases for row in case.structures for name in row.intensities))
    measures = [name for name in SCORES if any(each.get(name) is not None for each in scores.values())]
    headings = [*TEXT, *measures, size, "components", *(f"mean {name}" for name in channels)]
    head = "".join(f"<th{_text(index)}>{escape(name)}</th>" for index, name in enumerate(headings))
    rows = [_row(case, row, channels, measures, scores) for case in cases for row in case.structures]
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n" + "\n".join(rows) + "\n</tbody></table>"


def _row(
    case: CaseStatistics, row: StructureStatistics, channels: Sequence[str], measures: Sequence[str], scores: Scores
) -> str:
    flags = [flag for flag in case.flags if flag.structure in ("", row.structure)]
    own = scores.get((case.case, row.structure), {})
    size = row.voxels if case.unit != "mm" else row.volume_ml or 0.0
    means = [row.intensities[name].mean if name in row.intensities else None for name in channels]
    numbers = [*(_float(own.get(name)) for name in measures), size, row.components, *means]
    texts = [case.case, row.structure, "; ".join(flag.text for flag in flags)]
    cells = "".join(f'<td class="text">{escape(text)}</td>' for text in texts)
    cells += "".join(
        "<td></td>" if number is None else f'<td data-value="{_sorted_by(number)}">{number:.5g}</td>'
        for number in numbers
    )
    return f'<tr class="flagged">{cells}</tr>' if flags else f"<tr>{cells}</tr>"


def _picture(folder: Path, case: CaseStatistics) -> str:
    path = folder / PREVIEW / f"{case.case}.png"
    if not path.is_file():
        return ""
    content, name = base64.b64encode(path.read_bytes()).decode(), escape(case.case, quote=True)
    is_open = " open" if case.flags else ""
    return (
        f'<details{is_open}><summary>{name}</summary><img alt="{name}" src="data:image/png;base64,{content}"></details>'
    )


def _read_scores(path: Path) -> Scores:
    remedy = "name the file that evaluate.py --json has written"
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["scores"]
        return {(row["case"], row["structure"]): row for row in rows}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {remedy}") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path}: holds no scores; {remedy}") from None


def _sorted_by(number: float) -> str:
    """A number as JavaScript reads it."""
    return repr(number).replace("inf", "Infinity")


def _float(value: object) -> float | None:
    """A number of the scores, which have infinity as a word."""
    return None if value is None else float(str(value))


def _text(column: int) -> str:
    return ' class="text"' if column < len(TEXT) else ""
