"""Checks of what dataset.json says against what is there, and of all cases together."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from data_preprocessing.common.text import counted
from data_preprocessing.images.checks.finding import Finding, Row, error, warning

LONGEST_NAME = 200  # bytes: file systems take 255, and names of temporary files are longer


def check_there(path: Path) -> list[Finding]:
    """A file, or folder of a DICOM series, that is listed but not there."""
    if path.exists():
        return []
    return [error(Row.LISTING, "not there, but listed in dataset.json", "restore it or remove its entry")]


def check_names(names: Sequence[str]) -> list[Finding]:
    """Names of images to train on, or to predict, that files cannot be made for.

    Of two with one name the second would overwrite what is made of the first.
    """
    unusable = [
        error(Row.LISTING, f"{name!r} is no name for a case, as it is {problem}", "rename its files")
        for name in dict.fromkeys(names)
        for problem in _problems(name)
    ]
    return unusable + [
        error(Row.LISTED_TWICE, f"{name} is there twice", "remove or rename one of them")
        for name, times in Counter(names).items()
        if times > 1
    ]


def _problems(name: str) -> list[str]:
    """What is wrong with the name of a case."""
    if name in ("", ".", ".."):
        return ["empty" if not name else "that of a folder"]
    if name.startswith(".") or "/" in name:
        return ["that of a hidden file" if name.startswith(".") else "a path"]
    if not name.replace(" ", "").isprintable():
        return ["with control signs, or others that cannot be printed"]
    if len(name.encode("utf-8", "surrogateescape")) > LONGEST_NAME:
        return [f"longer than {LONGEST_NAME} bytes"]
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:  # bytes of another encoding
        return ["not valid UTF-8"]
    return []


def check_repeats(cases: Sequence[object]) -> list[Finding]:
    """Cases that are listed again, with the same files."""
    repeats = len(cases) - len(set(cases))
    if not repeats:
        return []
    problem = f"{repeats} training case{'s are' if repeats > 1 else ' is'} listed again"
    return [warning(Row.LISTED_TWICE, problem, "each is used once; remove the repetition")]


def check_test_images(training: Collection[Path], test: Collection[Path]) -> list[Finding]:
    """Training images that are listed as test images too."""
    return [
        warning(Row.LISTED_TWICE, f"{path.name} is a training and a test image", "remove it from one of the lists")
        for path in sorted(set(training) & set(test))
    ]


def check_count(stated: object, listed: Sequence[int]) -> list[Finding]:
    """A numTraining that is none of the counts that it can mean: with macOS's `._*` files, and without."""
    if stated is None or stated in listed:
        return []
    problem = f"numTraining is {stated}, but {listed[0]} training cases are listed"
    return [warning(Row.LISTING, problem, "the list is used; correct the number")]


def check_folds(cases: int, folds: int) -> list[Finding]:
    """Fewer cases than cross-validation has folds; of a single case none can be made, and training needs none."""
    if cases >= folds:
        return []
    problem = f"{counted(cases, 'training case')} cannot be split into {folds} folds"
    if cases == 1:
        return [warning(Row.FEW_CASES, problem, "train on it with train.py --fold all")]
    return [error(Row.FEW_CASES, problem, f"add cases, or make fewer folds with --nfolds, at most {cases}")]


def check_classes(found: Collection[frozenset[int]], names: Mapping[int, str]) -> list[Finding]:
    """Classes that no label file has; `found` holds the numbers in each of those that could be read."""
    if not found:
        return []
    present = frozenset[int]().union(*found)
    if not present - {0}:
        remedy = "check the label files, and labels in dataset.json"
        return [error(Row.NO_FOREGROUND, "no label file holds any foreground", remedy)]
    return [
        warning(
            Row.ABSENT_CLASS, f"class {number} ({name}) is in no label file", "remove it, or add cases that have it"
        )
        for number, name in names.items()
        if number and number not in present
    ]
