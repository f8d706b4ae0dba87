"""Keeping outputs from replacing inputs, whatever path leads to them: links, hard links, `..`, another case."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from data_preprocessing.common.errors import UserError

MOST_LINKS = 40  # one after another, as in Linux
Identity = tuple[int, int]  # of a file or folder: device and inode


class Inputs:
    """Files, and folders of DICOM series, that a command reads and must not write over."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.files: dict[Identity, Path] = {}
        self.folders: dict[Identity, Path] = {}
        for path in paths:
            for step in _steps(path):
                self._add(self.files, step, path, follow=False)
                self._add(self.folders, step.parent, path.parent)
            if path.is_dir():
                self._add(self.folders, path, path)

    @staticmethod
    def _add(known: dict[Identity, Path], path: Path, name: Path, follow: bool = True) -> None:
        identity = _identity(path, follow)
        if identity:
            known.setdefault(identity, name)

    def refuse_file(self, option: str, target: Path) -> None:
        """Raises UserError, naming `option`, where writing the file `target` would replace an input."""
        for step in _steps(target):
            identity = _identity(step, follow=False)
            if identity and identity in self.files:
                kept = self.files[identity]
                also = "" if kept == target else f" {kept}"
                raise UserError(f"{option} {target}: would replace the input{also}; name another place")

    def refuse_folder(self, option: str, folder: Path, reason: str) -> None:
        """Raises UserError, naming `option`, with `reason`, where inputs lie in `folder`, as files or as links."""
        identity = _identity(folder, follow=True)
        if identity and identity in self.folders:
            raise UserError(f"{option} {folder}: {reason}; name another folder")


def _steps(path: Path) -> Iterator[Path]:
    """A path and, where it is a link, all that it leads to one after another."""
    for _ in range(MOST_LINKS):
        yield path
        if not path.is_symlink():
            return
        path = path.parent / path.readlink()


def _identity(path: Path, follow: bool) -> Identity | None:
    try:
        status = path.stat(follow_symlinks=follow)
    except OSError:  # not there: nothing is replaced
        return None
    return status.st_dev, status.st_ino
