"""Writing files so that a killed run never leaves half of one under its final name."""

import errno
import hashlib
import json
import os
import re
import tempfile
import time
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from data_preprocessing.common.errors import UserError

LOCK_NAME = ".lock"
TEMPORARY = re.compile(r"\.[0-9]+\.")  # how the names that `atomic_path` yields begin
SECONDS_BETWEEN_TRIES = 0.2  # to lock it


class FileRecord(BaseModel):
    """Size in bytes and SHA-256 of one file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: NonNegativeInt
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


Model = TypeVar("Model", bound=BaseModel)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary name in the folder of `path`; when the block ends well, it is renamed to `path`.

    The temporary name keeps the suffixes of `path`, since writers choose their format by them.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with open(temporary, "rb") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Within it an error of the system, such as a full disk, becomes a UserError that names `path`."""
    try:
        yield
    except OSError as error:  # NumPy's own, of a full disk, has no strerror
        reason = error.strerror or "is the disk full?"
        room = "make room, or " if error.errno in (None, errno.ENOSPC, errno.EDQUOT) else ""
        raise UserError(f"{path}: cannot be written ({reason}); {room}name another folder") from None


def make_folder(folder: Path) -> None:
    """Makes `folder` where it is missing; raises UserError when nothing can be written there."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def refuse_clashing_names(folder: Path, names: Iterable[str]) -> None:
    """Raises UserError where two of different `names` are one to the file system of `folder`, which is there.

    Such as `Case1` and `case1` on the disks of macOS and Windows.
    """
    if not _ignores_case(folder):
        return
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if other != name:
            raise UserError(f"{folder}: {other} and {name} would be one file there; rename one, or name another folder")


def _ignores_case(folder: Path) -> bool:
    with writing(folder), tempfile.NamedTemporaryFile(dir=folder, prefix=f".{os.getpid()}.a") as file:
        name = Path(file.name)
        return name.with_name(name.name.swapcase()).exists()


@contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """Makes `folder` as `make_folder` does; where the block raises, what it made goes again as far as it is empty."""
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        make_folder(folder)
        yield
    except BaseException:
        with suppress(OSError):  # not empty, or not there
            for each in made:
                each.rmdir()
        raise


@contextmanager
def kept_folder(folder: Path, command: str, wait_seconds: float = 0.0) -> Iterator[None]:
    """Makes `folder` and keeps it for this process; clears away temporary files of a run that was killed there.

    Raises UserError, naming `command`, when another process keeps it, and goes on doing so for `wait_seconds`.
    """
    make_folder(folder)
    with writing(folder / LOCK_NAME):
        file = open(folder / LOCK_NAME, "w")  # noqa: SIM115
    with file as lock:
        end = time.monotonic() + wait_seconds
        while not _locked(lock):
            if time.monotonic() >= end:
                raise UserError(f"{folder}: another {command} is writing there; wait for it or stop it")
            time.sleep(SECONDS_BETWEEN_TRIES)
        for leftover in folder.glob(".*.*.*"):
            if TEMPORARY.match(leftover.name):
                with writing(leftover):
                    leftover.unlink()
        yield


def _locked(file: TextIO) -> bool:
    """Whether the lock is this process's now; where neither system nor file system knows locks, with a warning."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError) as error:  # Windows; Lustre and others without flock, ENOLCK of NFS
        reason = getattr(error, "strerror", None) or "this system has none"
        warnings.warn(
            f"{file.name}: cannot be locked ({reason}): make sure that nothing else writes there", stacklevel=4
        )
    return True


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path`, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: object) -> None:
    """Writes `content`, made of plain dicts, lists, strings and numbers, as indented JSON, atomically."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_array(path: Path, array: np.ndarray) -> None:
    """Writes `array` as NPY, atomically and without pickle."""
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.save(stream, np.ascontiguousarray(array), allow_pickle=False)


def write_model(path: Path, model: BaseModel) -> None:
    """Writes a pydantic model as indented JSON, atomically."""
    write_text(path, model.model_dump_json(indent=1) + "\n")


def read_model(path: Path, kind: type[Model], remedy: str) -> Model:
    """Returns the `kind` stored as JSON in `path`.

    Raises UserError, ending in `remedy`, when the file is missing or does not hold one.
    """
    return validated(path, remedy, lambda: kind.model_validate_json(path.read_text(encoding="utf-8-sig")))


def validated(path: Path, remedy: str, read: Callable[[], Model]) -> Model:
    """Returns `read()`, a pydantic model made from `path`; what goes wrong becomes a UserError of one line."""
    try:
        return read()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {remedy}") from None
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({error}); {remedy}") from None
    except ValidationError as error:
        raise UserError(f"{path}: {_first_problem(error)}; {remedy}") from None


def _first_problem(error: ValidationError) -> str:
    """The field and what is wrong with it; the version of the format, where it is another one, explains all else."""
    problems = error.errors()
    first = next((problem for problem in problems if problem["loc"] == ("format",)), problems[0])
    if first["loc"] == ("format",) and first["type"] == "literal_error":
        return f"format: is {first['input']!r}, and this version of the program reads {first['ctx']['expected']}"
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "value_error":  # our own checks, which name the fields that they compare
        return (f"{where}: " if where else "") + first["msg"].removeprefix("Value error, ")
    return f"{where or 'content'}: {first['msg']}"


def file_record(path: Path) -> FileRecord:
    """Returns size and checksum of a file."""
    return FileRecord(size=path.stat().st_size, sha256=checksum(path))


def checksum(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def time_written(path: Path) -> int:
    """Returns when a file was last written, nanoseconds since 1970; 0 where there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0
