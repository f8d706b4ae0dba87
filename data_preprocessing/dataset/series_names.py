"""Name cases that are folders of DICOM series, so that two patients' SE02 are two names."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from data_preprocessing.dataset.dataset import Case

SEPARATOR = "-"  # not "_", which comes before the number of a channel


def name_series(cases: "Sequence[Case]", roots: Sequence[Path]) -> "list[Case]":
    """Returns the cases, those that are folders named by their paths; others as they are.

    - A folder more than one level below one of `roots`, the folders that were searched, is called after its path from
      there: `PAT1/ST1/SE02` is `PAT1-ST1-SE02`. Any other keeps the name of the folder.
    - Where two of these names are equal, each is its path from the deepest folder that they share.
    """
    folders = [_absolute(root) for root in roots]
    series: dict[str, list[Case]] = {}
    for case in cases:
        if _is_series(case):
            series.setdefault(_name(case, folders), []).append(case)
    names = {}
    for name, group in series.items():
        shared = _shared(group)
        for case in group:
            names[case.images] = _joined(case, shared) if len({each.images for each in group}) > 1 else name
    return [replace(case, name=names.get(case.images, case.name)) for case in cases]


def _is_series(case: "Case") -> bool:
    return case.images[0].is_dir()


def _name(case: "Case", roots: Sequence[Path]) -> str:
    path = _absolute(case.images[0])
    above = [root for root in roots if root in path.parents]
    nearest = max(above, key=lambda root: len(root.parts), default=path.parent)
    return _joined(case, nearest) if nearest != path.parent else _own_name(case)


def _joined(case: "Case", folder: Path) -> str:
    between = _absolute(case.images[0]).parent.relative_to(folder).parts
    return SEPARATOR.join((*between, _own_name(case)))


def _own_name(case: "Case") -> str:
    """The name without folders before it; of a folder that was given as `.` or `..` its own."""
    return _absolute(case.images[0]).name if case.images[0].name in ("", "..") else case.name


def _shared(cases: "Sequence[Case]") -> Path:
    return Path(os.path.commonpath([_absolute(case.images[0]).parent for case in cases]))


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - without following links, which have names of their own
