"""A datalist of MONAI: JSON with the lists `training`, `validation` and `test`."""

from pathlib import Path
from typing import Any

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.text import first_few
from data_preprocessing.dataset.dataset import read_json
from data_preprocessing.dataset.layouts.model import FoundCase, Layout, Split
from data_preprocessing.dataset.scan_names import split_suffix
from data_preprocessing.images.formats.registry import case_name

LISTS: dict[str, Split] = {"training": "training", "validation": "validation", "test": "test", "testing": "test"}
ENTRY = '{"image": "images/p1.nii.gz", "label": "labels/p1.nii.gz"}'


def is_datalist(content: dict[str, Any]) -> bool:
    """Returns whether the content of a JSON file lists training cases."""
    return isinstance(content.get("training"), list)


def find_in_datalist(path: Path, base: Path | None = None) -> Layout:
    """Returns the cases of a datalist; its paths start from `base`, else from its own folder.

    An entry has `image`, a path or a list with one per channel, and `label`; `fold` gives the fold that it validates.
    `modality` or `channel_names` and `labels` of a Decathlon file are taken over. Raises UserError for an entry that
    is none, and for a file that is not there.
    """
    content = read_json(path)
    base = base or path.parent
    if not is_datalist(content):
        raise UserError(f"{path}: has no list training; give a MONAI datalist, with entries such as {ENTRY}")
    cases, folds = [], {}
    for key, split in LISTS.items():
        for index, entry in enumerate(content.get(key) or []):
            where = f"{key} entry {index + 1}"
            entry = {"image": entry} if isinstance(entry, (str, list)) else entry
            case = _case(path, where, entry, base, split)
            cases.append(case)
            if isinstance(entry.get("fold"), int) and split == "training":
                folds[case.name] = entry["fold"]
    cases = _with_own_names(path, cases, base)
    names = {case.images: case.name for case in cases}
    if len(names) < len(cases):
        raise UserError(f"{path}: lists an image twice; remove one of the entries")
    return Layout(
        "MONAI datalist",
        tuple(sorted(cases, key=lambda case: case.name)),
        _channels(content),
        _labels(content),
        folds=_folds(cases, [entry.get("fold") for entry in content["training"] if isinstance(entry, dict)]),
    )


def _case(path: Path, where: str, entry: object, base: Path, split: Split) -> FoundCase:
    if not isinstance(entry, dict) or "image" not in entry:
        raise UserError(f"{path}: {where}: has no image; write it like {ENTRY}")
    images = entry["image"] if isinstance(entry["image"], list) else [entry["image"]]
    label = entry.get("label")
    if not images or not all(isinstance(each, str) for each in images) or not isinstance(label, (str, type(None))):
        raise UserError(f"{path}: {where}: image or label is no path; write it like {ENTRY}")
    if label is None and split != "test":
        raise UserError(f"{path}: {where}: has no label; write it like {ENTRY}")
    files = [base / each for each in images]
    for file in [*files, *([base / label] if label else [])]:
        if not file.exists():
            raise UserError(
                f"{path}: {where}: {file}: no such file; name the folder its paths start from with --images"
            )
        case_name(file)
    return FoundCase(split_suffix(files[0])[0], tuple(files), base / label if label else None, split=split)


def _with_own_names(path: Path, cases: list[FoundCase], base: Path) -> list[FoundCase]:
    """The cases, called by their paths below `base` where their files have the same names."""
    from dataclasses import replace

    if len({case.name for case in cases}) == len(cases):
        return cases
    named = []
    for case in cases:
        file = case.images[0]
        folders = file.parent.relative_to(base).parts if file.is_relative_to(base) else file.parent.parts[1:]
        named.append(replace(case, name="-".join((*folders, case.name))))
    if len({case.name for case in named}) < len(named):
        raise UserError(f"{path}: lists {first_few([case.images[0] for case in cases])} several times; list each once")
    return named


def _folds(cases: list[FoundCase], stated: list[object]) -> list[dict[str, list[str]]]:
    """nnU-Net's splits of cases that say which fold they validate; none unless all do."""
    training = [case.name for case in cases if case.split == "training"]
    numbers = [number for number in stated if isinstance(number, int)]
    if len(numbers) != len(training) or len(set(numbers)) < 2:
        return []
    pairs = list(zip(training, numbers, strict=True))
    return [
        {"train": [name for name, fold in pairs if fold != each], "val": [name for name, fold in pairs if fold == each]}
        for each in sorted(set(numbers))
    ]


def _channels(content: dict[str, Any]) -> tuple[str, ...]:
    stated = content.get("modality") or content.get("channel_names")
    if isinstance(stated, str):
        return (stated,)
    if not isinstance(stated, dict) or not all(str(key).isdecimal() for key in stated):
        return ()
    return tuple(str(stated[key]) for key in sorted(stated, key=int))


def _labels(content: dict[str, Any]) -> dict[str, int | list[int]]:
    stated = content.get("labels")
    if not isinstance(stated, dict):
        return {}
    if all(str(key).isdecimal() and isinstance(value, str) for key, value in stated.items()):
        return {value: int(key) for key, value in stated.items()}
    return {str(key): value for key, value in stated.items() if isinstance(value, (int, list))}
