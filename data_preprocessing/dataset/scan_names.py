"""The one rule by which image files become scans with names, in training and in prediction.

A scan is called as its file without the suffix. Files that end in `_0000`, `_0001`, ... behind one name may be the
channels of one scan (nnU-Net's layout) or scans that are numbered. How many channels the data set has decides:

| channels | files beside each other | scans |
| --- | --- | --- |
| any | `p_0000` and no other number | `p`: nnU-Net's layout of one channel, or a file that holds all channels |
| 1 | `p_0000`, `p_0001`, ... | `p_0000`, `p_0001`, ... |
| several, all in `p_0000` | `p_0000`, `p_0001`, ... | `p_0000`, `p_0001`, ... |
| several | `p_0000`, `p_0001`, ... | `p`, of those files; refused where they are more than the channels |
| any | `p_0007`, ... and no `p_0000` | `p_0007`, ... |
"""

import math
import re
from itertools import pairwise
from pathlib import Path

from data_preprocessing.common.text import counted
from data_preprocessing.images.checks.finding import Row, unusable
from data_preprocessing.images.formats.registry import SUFFIXES, is_image, is_picture
from data_preprocessing.images.image_file import read_header

NUMBERED = re.compile(r"(.+)_([0-9]{4})", re.DOTALL)
FIRST_CHANNEL = "_0000"


def split_suffix(path: Path) -> tuple[str, str]:
    """Returns name and suffix; that of an unknown kind of file stays with the name. `.` has the name of its folder."""
    full = path.resolve().name if path.name in ("", "..") else path.name
    ending = next((suffix for suffix in SUFFIXES if full.lower().endswith(suffix)), "")
    name = full[: len(full) - len(ending)]
    return name, full[len(name) :]


class ScanNames:
    """Applies the rule to files of a data set of so many `channels`; looks into each folder once."""

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self._folders: dict[Path, dict[str, list[tuple[int, Path]]]] = {}

    def scan(self, path: Path) -> tuple[str, tuple[Path, ...]]:
        """Returns the name of the scan that a file or DICOM folder belongs to, and all its files in channel order.

        Raises UserError, naming a file, where there are more channel files than channels, or two of one number.
        """
        name, _ = split_suffix(path)
        numbered = NUMBERED.fullmatch(name)
        files = self._numbered_files(path.parent).get(numbered[1], []) if numbered else []
        if numbered is None or not files or files[0][0] != 0:
            return name, (path,)
        if len(files) == 1:
            return numbered[1], (path,)
        if self._are_scans(files):
            return name, (path,)
        for (number, file), (other, twin) in pairwise(files):
            if number == other:
                problem = f"channel {number} of {numbered[1]} is there twice, as {file.name} too"
                raise unusable(twin, Row.LISTED_TWICE, problem, "remove or rename one of them")
        if files[-1][0] >= self.channels:
            problem = f"a further channel of {numbered[1]}, which has {counted(self.channels, 'channel')}"
            remedy = (
                f"take it out, or, if it is a scan of its own, rename {files[0][1].name} and those numbered like it"
            )
            raise unusable(files[-1][1], Row.CHANNEL_COUNT, problem, remedy)
        return numbered[1], tuple(file for _, file in files)

    def _are_scans(self, files: list[tuple[int, Path]]) -> bool:
        """Whether files numbered from 0 are scans of their own, by what the first one holds."""
        if self.channels == 1:
            return True
        first = files[0][1]
        if is_picture(first) and [number for number, _ in files] == list(range(self.channels)):
            return False  # channels in grey, saved in colours
        header = read_header(first)
        return header is not None and math.prod(header.get_data_shape()[3:]) == self.channels

    def _numbered_files(self, folder: Path) -> dict[str, list[tuple[int, Path]]]:
        """The numbered images of a folder in order, by what stands before the number."""
        if folder not in self._folders:
            found: dict[str, list[tuple[int, Path]]] = {}
            for path in sorted(folder.iterdir()) if folder.is_dir() else []:
                numbered = NUMBERED.fullmatch(split_suffix(path)[0])
                if numbered and is_image(path):
                    found.setdefault(numbered[1], []).append((int(numbered[2]), path))
            self._folders[folder] = {name: sorted(files) for name, files in found.items()}
        return self._folders[folder]


def numbered_as_channels(names: list[str]) -> list[str]:
    """Returns those of the names of scans that end in numbers from `_0000` on, as channel files do."""
    stems = {name.removesuffix(FIRST_CHANNEL) for name in names if name.endswith(FIRST_CHANNEL)}
    matches = ((name, NUMBERED.fullmatch(name)) for name in names)
    return [name for name, numbered in matches if numbered and numbered[1] in stems]
