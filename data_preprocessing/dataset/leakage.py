"""Find cases that would be trained on and judged by at once: equal files, or scans of one patient."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from data_preprocessing.common.files import checksum

ENDS = 2**16  # bytes at the start and the end, which most different files of one size differ in


def equal_files(files: Mapping[str, Path]) -> list[list[str]]:
    """Returns the names of files with the same content, group by group, sorted; folders and empty files are left out.

    A file is read whole only where another one has its size, beginning and end.
    """
    groups: list[list[str]] = [[name for name, path in files.items() if path.is_file() and _size(path)]]
    for key in (_size, _ends, checksum):
        groups = [part for group in groups for part in _parts(group, {name: key(files[name]) for name in group})]
    return sorted(sorted(group) for group in groups)


def divided_groups(groups: Mapping[str, str], sides: Sequence[Iterable[str]]) -> dict[str, list[str]]:
    """Returns the cases of each group that lies on more than one of the `sides`, such as training and validation."""
    owners: dict[str, set[int]] = {}
    members: dict[str, list[str]] = {}
    for index, side in enumerate(sides):
        for case in side:
            if case in groups:
                owners.setdefault(groups[case], set()).add(index)
                members.setdefault(groups[case], []).append(case)
    return {group: sorted(members[group]) for group in sorted(owners) if len(owners[group]) > 1}


def _parts(names: Sequence[str], keys: Mapping[str, object]) -> list[list[str]]:
    """The names with equal keys together, those that are alone left out."""
    found: dict[object, list[str]] = {}
    for name in names:
        found.setdefault(keys[name], []).append(name)
    return [part for part in found.values() if len(part) > 1]


def _size(path: Path) -> int:
    return path.stat().st_size


def _ends(path: Path) -> str:
    with open(path, "rb") as stream:
        start = stream.read(ENDS)
        stream.seek(max(0, path.stat().st_size - ENDS))
        return hashlib.sha256(start + stream.read(ENDS)).hexdigest()
