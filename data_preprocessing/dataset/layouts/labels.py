"""Name the classes of a data set."""

from collections.abc import Collection, Mapping

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.text import first_few

BACKGROUND = "background"


def label_names(
    stated: Mapping[str, int | list[int]],
    structures: Mapping[str, int],
    names: Mapping[int, str] | None,
    found: Collection[int],
) -> tuple[dict[str, int | list[int]], list[str]]:
    """Returns the numbers of the classes by name, the background first, and warnings.

    `stated` is what the source says, `structures` are the numbers given to masks and segments, `names` what the user
    says of the numbers in label maps, and `found` the numbers in the label files. Raises UserError where a file holds
    a number that has no name while others do.
    """
    if names and not structures:
        classes: dict[str, int | list[int]] = {names.get(0, BACKGROUND): 0}
        classes |= {name: number for number, name in names.items() if number}
    elif stated:
        classes = dict(sorted(stated.items(), key=lambda pair: pair[1] != 0))
    elif structures:
        classes = {BACKGROUND: 0, **structures}
    else:
        classes = {BACKGROUND: 0, **{f"label {number}": number for number in sorted(set(found) - {0})}}
    known = {number for value in classes.values() for number in (value if isinstance(value, list) else [value])}
    unnamed, absent = sorted(set(found) - known), sorted(known - set(found) - {0})
    if unnamed:
        raise UserError(
            f"label files hold {first_few(unnamed)}, which has no name; name all numbers with --names 1=liver"
        )
    if not set(found) - {0}:
        raise UserError("no label file holds any foreground; name other labels")
    warnings = [f"no label file holds {first_few([_name(classes, number) for number in absent])}"] if absent else []
    if not (names or stated or structures):
        example = " ".join(f"{number}=NAME" for number in sorted(set(found) - {0})[:3])
        warnings.append(f"the classes have no names: edit labels in dataset.json, or give --names {example}")
    return classes, warnings


def _name(classes: Mapping[str, int | list[int]], number: int) -> str:
    return next((name for name, value in classes.items() if value == number), str(number))
