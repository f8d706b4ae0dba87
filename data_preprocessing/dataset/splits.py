"""Splits that the user states, as nnU-Net writes them, and groups of cases that belong together."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.task import Strict
from data_preprocessing.common.text import first_few
from data_preprocessing.dataset.leakage import divided_groups, equal_files
from data_preprocessing.images.checks.finding import Row, unusable

SPLITS_NAME = "splits.json"  # beside dataset.json
EXAMPLE = '[{"train": ["case_1", "case_2"], "val": ["case_3"]}]'


class StatedFold(Strict):
    """The names of the cases that one fold learns from and of those that it is judged on."""

    train: Annotated[tuple[str, ...], Field(min_length=1)]
    val: Annotated[tuple[str, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _apart(self) -> "StatedFold":
        for name in self.train:
            if name in self.val:
                raise ValueError(f"{name} is in train and in val")
        return self


def read_splits(path: Path) -> tuple[StatedFold, ...]:
    """Returns the folds in a file like nnU-Net's `splits_final.json`; one with a single fold is a fixed validation set.

    Raises UserError where the file is missing, has another form, or a case is on both sides of a fold.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        folds = [content] if isinstance(content, dict) else content
        return TypeAdapter(Annotated[tuple[StatedFold, ...], Field(min_length=1)]).validate_python(folds)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; name one like nnU-Net's splits_final.json") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = f"fold {first['loc'][0]}: " if first["loc"] else ""
        problem = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{path}: {where}{problem}; write it like {EXAMPLE}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); write it like {EXAMPLE}") from None


def check_splits(folds: Sequence[StatedFold], cases: Collection[str], source: str) -> None:
    """Raises UserError, naming `source`, where folds name a case that is none of `cases`."""
    unknown = sorted({name for fold in folds for name in (*fold.train, *fold.val)} - set(cases))
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise UserError(f"{source}: {unknown[0]}{more}: no case is called so; name cases such as {min(cases)}")


def split_warnings(
    folds: Sequence[StatedFold], cases: Mapping[str, Path | None], groups: Mapping[str, str]
) -> list[str]:
    """Returns one line per leak of stated folds: a group on both sides of a fold, or equal images; and unused cases.

    `cases` maps each name to its image, None where files are not to be compared.
    """
    divided: dict[str, list[str]] = {}
    for fold in folds:
        divided |= divided_groups(groups, [fold.train, fold.val])
    lines = [f"{group} is both trained on and judged: {first_few(names)}" for group, names in sorted(divided.items())]
    for names in equal_files({name: path for name, path in cases.items() if path is not None}):
        if any(set(names) & set(fold.train) and set(names) & set(fold.val) for fold in folds):
            lines.append(f"{first_few(names)} are the same image, and both trained on and judged")
    unused = sorted(set(cases) - {name for fold in folds for name in (*fold.train, *fold.val)})
    if folds and unused:
        lines.append(f"in no fold, and not used: {first_few(unused)}")
    return lines


def stated_groups(path: Path, content: Mapping[str, Any], cases: Collection[str]) -> dict[str, str]:
    """Returns the group of each case that has one, from `groups` in the dataset.json at `path`.

    Raises UserError where it is no mapping of texts, or names a case that is not there.
    """
    stated = content.get("groups") or {}
    if not isinstance(stated, dict) or not all(isinstance(value, (str, int)) for value in stated.values()):
        problem = f'groups must map cases to their patient or site, such as {{"{min(cases, default="case_1")}": "p1"}}'
        raise unusable(path, Row.LISTING, problem, "correct it")
    unknown = sorted(set(stated) - set(cases))
    if unknown:
        remedy = f"name cases such as {min(cases, default='case_1')}"
        raise unusable(path, Row.LISTING, f"groups has {unknown[0]}, which is no training case", remedy)
    return {name: str(group) for name, group in stated.items()}


def number_of_groups(cases: Collection[str], groups: Mapping[str, str]) -> int:
    """Returns how many groups the cases are in; one without a group is a group of its own."""
    grouped = {groups[name] for name in cases if name in groups}
    return len(grouped) + sum(name not in groups for name in set(cases))
