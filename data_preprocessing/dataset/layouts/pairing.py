"""Pair the names of images with those of labels by what they share: `scan_12` with `seg_12`."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

Key = tuple[str, ...]
Keys = tuple[Mapping[str, Key], Mapping[str, Key]]
PART = re.compile(r"(?<![a-z0-9])t[12](?:w|ce|gd|c|n)?(?![a-z0-9])|[0-9]+|[^\W\d_]+")  # T1 and T2 are words


@dataclass(frozen=True)
class Pairing:
    """`pairs` maps labels to images. Where it is empty, `ambiguous` lists labels, each with the images it may fit."""

    pairs: Mapping[str, str]
    ambiguous: tuple[tuple[str, tuple[str, ...]], ...] = ()


def pair_names(images: Sequence[str], labels: Sequence[str]) -> Pairing:
    """Returns which image each label belongs to, by file names without suffixes.

    Names are taken apart into words and numbers. The rules are tried in this order, and the first that gives every
    label an image of its own decides: equal names; equal numbers and words, counting only words that occur among the
    names of both sides; the same without the words, and the last numbers, that all names of a side have in common;
    the same with numbers alone, compared by value (`012` is `12`); the name of one is the beginning of the other's. A
    single image and label belong together unless their numbers contradict each other. Images may be left over, labels
    may not.
    """
    best: list[tuple[str, tuple[str, ...]]] | None = None
    for rule in (_whole, _shared, _varying, _values):
        left, right = rule(images, labels)
        fits = {label: tuple(name for name in images if left[name] == right[label] != ()) for label in labels}
        if _is_complete(fits):
            return Pairing({label: found[0] for label, found in fits.items()})
        unclear = [(label, found) for label, found in fits.items() if len(found) != 1]
        best = unclear if best is None or 0 < len(unclear) < len(best) else best
    fits = {label: tuple(name for name in images if _begins(name, label)) for label in labels}
    if _is_complete(fits):
        return Pairing({label: found[0] for label, found in fits.items()})
    if len(images) == len(labels) == 1 and _agree(images[0], labels[0]):
        return Pairing({labels[0]: images[0]})
    return Pairing({}, tuple(best or [(label, ()) for label in labels]))


def _is_complete(fits: Mapping[str, tuple[str, ...]]) -> bool:
    found = [names[0] for names in fits.values() if len(names) == 1]
    return len(found) == len(fits) and len(set(found)) == len(found)


def parts(name: str) -> Key:
    """Returns the words and numbers of a name, in small letters.

    >>> parts("Scan_012a-T1w")
    ('scan', '012', 'a', 't1w')
    """
    return tuple(PART.findall(name.lower()))


def _whole(images: Sequence[str], labels: Sequence[str]) -> Keys:
    return {name: (name,) for name in images}, {name: (name,) for name in labels}


def _shared(images: Sequence[str], labels: Sequence[str]) -> Keys:
    """The numbers, and the words that occur on both sides."""
    left, right = ({part for name in names for part in parts(name)} for names in (images, labels))
    common = left & right
    return _keys(images, common), _keys(labels, common)


def _varying(images: Sequence[str], labels: Sequence[str]) -> Keys:
    """The parts that not all names of a side have."""
    return _without_constants(images), _without_constants(labels)


def _values(images: Sequence[str], labels: Sequence[str]) -> Keys:
    """The numbers among these, by value."""
    left, right = (_without_constants(names) for names in (images, labels))
    return tuple(
        {name: tuple(str(int(part)) for part in key if part.isdecimal()) for name, key in side.items()}
        for side in (left, right)
    )  # type: ignore[return-value]


def _keys(names: Sequence[str], words: Collection[str]) -> dict[str, Key]:
    return {name: tuple(part for part in parts(name) if part.isdecimal() or part in words) for name in names}


def _without_constants(names: Sequence[str]) -> dict[str, Key]:
    """Each name without the words, and without the numbers at its end, that all have in common.

    Numbers at the beginning stay: those of `p1_day1` and `p1_day2` tell the patient.
    """
    split = {name: parts(name) for name in names}
    if len(split) < 2:
        return split
    words = set.intersection(*({part for part in each if not part.isdecimal()} for each in split.values()))
    left = {name: [part for part in each if part not in words] for name, each in split.items()}
    while all(left.values()) and len({each[-1] for each in left.values()}) == 1:
        for each in left.values():
            each.pop()
    return {name: tuple(each) for name, each in left.items()}


def _begins(name: str, label: str) -> bool:
    first, second = sorted((parts(name), parts(label)), key=len)
    return bool(first) and second[: len(first)] == first


def _agree(image: str, label: str) -> bool:
    first, second = (Counter(part for part in parts(name) if part.isdecimal()) for name in (image, label))
    return not (first and second) or not (first - second) or not (second - first)
