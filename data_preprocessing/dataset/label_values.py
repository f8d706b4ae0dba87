"""The numbers that label files hold, where they are not those of `labels` in dataset.json."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from data_preprocessing.common.errors import UserError
from data_preprocessing.images.checks.finding import Row, unusable
from data_preprocessing.images.formats.registry import is_picture
from data_preprocessing.images.image_file import load_image

KEY = "values"
WHITE = 255  # of a mask: what a drawing program saves of a class of two


def values_in_files(path: Path, content: dict[str, Any], labels: dict[int, str]) -> dict[int, str]:
    """Returns `labels` (number to name) of the dataset.json at `path` under the numbers of the label files, in order.

    `values` in its `content` maps class names, or the numbers in `labels`, to them; a class left out keeps its own.
    Without it, pictures of two classes, 0 and 1, are looked at: where they hold 0 and 255, 255 is meant. Raises
    UserError where `values` is not understood, or changes the background.
    """
    if KEY not in content:
        return {0: labels[0], WHITE: labels[1]} if list(labels) == [0, 1] and _are_masks(path, content) else labels
    stated = content[KEY]
    numbers = {name: number for number, name in labels.items()} | {str(number): number for number in labels}
    if not isinstance(stated, dict) or not all(type(value) is int and value >= 0 for value in stated.values()):
        problem = f'{KEY} must map classes to the numbers in label files, such as {{"{labels[max(labels)]}": 255}}'
        raise unusable(path, Row.LISTING, problem, "correct it")
    unknown = [name for name in stated if name not in numbers]
    if unknown:
        known = ", ".join(labels.values())
        raise unusable(path, Row.LISTING, f"{KEY} has {unknown[0]}, which is no class ({known})", "correct it")
    changed = {number: number for number in labels} | {numbers[name]: value for name, value in stated.items()}
    if changed[0] != 0:
        problem = f"{KEY} gives the background, {labels[0]}, the number {changed[0]}"
        raise unusable(path, Row.LISTING, problem, "let it be 0 in the label files, and make another class the first")
    if len(set(changed.values())) < len(changed):
        raise unusable(path, Row.LISTING, f"{KEY} has two classes of one number", "correct it")
    return dict(sorted((changed[number], name) for number, name in labels.items()))


def _are_masks(path: Path, content: dict[str, Any]) -> bool:
    """Whether the first label with any foreground is a picture of 0 and 255."""
    for label in _labels(path, content):
        try:
            found = set(np.unique(np.asarray(load_image(label, as_label=True).dataobj)).tolist()) - {0}
        except UserError:
            continue
        if found:
            return found == {WHITE}
    return False


def _labels(path: Path, content: dict[str, Any]) -> Iterator[Path]:
    listed = content.get("training")
    if isinstance(listed, list):
        entries = [entry.get("label") for entry in listed if isinstance(entry, dict)]
        files = [path.parent / entry for entry in entries if isinstance(entry, str)]
    else:
        files = sorted((path.parent / "labelsTr").glob("*"))
    return (file for file in files if is_picture(file) and file.is_file())
