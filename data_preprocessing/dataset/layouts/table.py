"""A CSV table with one row per case."""

import csv
from collections import Counter
from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.script import user_path
from data_preprocessing.common.text import first_few
from data_preprocessing.dataset.layouts.model import FoundCase, Layout, Split
from data_preprocessing.dataset.scan_names import split_suffix
from data_preprocessing.images.formats.dicom_segments import is_segmentation
from data_preprocessing.images.formats.registry import case_name

CASE, LABEL = ("case", "name", "id"), ("label", "mask", "segmentation", "seg")
GROUP, SPLIT = ("group", "patient", "subject", "site"), ("split", "set")
SPLITS: dict[str, Split] = {
    **dict.fromkeys(("", "train", "training", "tr"), "training"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing", "ts"), "test"),
}
IMAGE = "image"
EXAMPLE = "case,image,label,patient,split"


def find_in_table(path: Path) -> Layout:
    """Returns the cases that a CSV lists; its paths start from its own folder.

    Columns, in any order: `case` (else the image's name is the case's), `label`, `patient`, `site` or `group`
    (optional), `split` (optional: train, val or test). Every other column is a channel, called like the column; a
    single one may be called `image`. Columns may be parted by commas, semicolons or tabs. Raises UserError, with the
    number of the line, where a row is incomplete or names a file that is not there.
    """
    rows = _rows(path)
    columns = {column.strip().lower(): column for column in rows[0][1] if column}
    case_column, label_column = _first(columns, CASE), _first(columns, LABEL)
    group_column, split_column = _first(columns, GROUP), _first(columns, SPLIT)
    known = {column for column in (case_column, label_column, split_column) if column} | {
        columns[name] for name in GROUP if name in columns
    }
    channels = [column for column in columns.values() if column not in known]
    if not channels or label_column is None:
        missing = "image" if not channels else "label"
        raise UserError(f"{path}: has no column {missing}; begin it with a line such as {EXAMPLE}")
    cases = []
    for line, row in rows:
        images = tuple(_file(path, line, column, row) for column in channels)
        name = (row.get(case_column) or "").strip() if case_column else split_suffix(images[0])[0]
        label = _file(path, line, label_column, row) if (row.get(label_column) or "").strip() else None
        split = (row.get(split_column) or "").strip().lower() if split_column else ""
        if split not in SPLITS:
            raise UserError(f"{path}: line {line}: split {split}: is none; use train, val or test")
        segmentation = label if label is not None and is_segmentation(label) else None
        group = (row.get(group_column) or "").strip() if group_column else ""
        cases.append(
            FoundCase(name, images, None if segmentation else label, segmentation, group=group, split=SPLITS[split])
        )
    twice = [name for name, times in Counter(case.name for case in cases).items() if times > 1]
    if twice:
        raise UserError(f"{path}: {first_few(twice)} on several lines; give each a name of its own in the column case")
    names = () if [column.strip().lower() for column in channels] == [IMAGE] else tuple(map(str.strip, channels))
    return Layout("table", tuple(sorted(cases, key=lambda case: case.name)), names)


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """The rows by column, each with its line; empty ones are left out."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            delimiter = max(",;\t", key=first.count)
            stream.seek(0)
            reader = csv.DictReader(stream, delimiter=delimiter)
            rows = [(reader.line_num, row) for row in reader if any(value for value in row.values())]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; name a CSV with --table") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error}); save it as CSV in UTF-8") from None
    if not rows:
        raise UserError(f"{path}: lists no case; begin it with a line such as {EXAMPLE}, then one line per case")
    excess = next((line for line, row in rows if None in row), None)
    if excess:
        raise UserError(f"{path}: line {excess}: has more columns than the first line; correct it")
    return rows


def _first(columns: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((columns[name] for name in names if name in columns), None)


def _file(path: Path, line: int, column: str, row: dict[str, str]) -> Path:
    text = (row.get(column) or "").strip()
    if not text:
        raise UserError(f"{path}: line {line}: {column.strip()} is empty; name the file, or remove the line")
    file = path.parent / user_path(text)
    if not file.exists():
        raise UserError(f"{path}: line {line}: {file}: no such file; correct the {column.strip()}")
    if not is_segmentation(file):
        case_name(file)
    return file
