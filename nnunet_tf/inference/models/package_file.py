"""A zip of files with their checksums: how it is written, and what is refused when it is read.

Members are stored, not compressed: weights hardly shrink, the bytes do not depend on a compressor's version, and a zip
never unpacks to more than it weighs.
"""

import atexit
import hashlib
import re
import shutil
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Literal

from pydantic import BaseModel, ValidationError

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import FileRecord, atomic_path, make_folder, writing
from data_preprocessing.common.task import Strict
from nnunet_tf.version import VERSION

FORMAT = 1
PACKAGE_SUFFIX = ".zip"
MANIFEST_NAME = "package.json"
MANIFEST_BYTES = 2**20  # a hundred times what one of five folds takes
COPIED_AT_ONCE = 2**20  # bytes
EARLIEST_TIME = (1980, 1, 1, 0, 0, 0)  # of any file in a zip; the true one would make equal packages differ
PLAIN_FILE = 0o100644 << 16  # type and rights, where a zip keeps them
UNIX = 3  # the system that these rights are for, whichever this one is

DISTRIBUTIONS = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "keras": ("keras",), "numpy": ("numpy",)}
ABSENT = "unknown"
REMEDY = "pack the model again with python -m nnunet_tf.package, or copy the file again"


class Manifest(Strict):
    """The content of `package.json`: the other files of the zip, and the libraries that the model was packed with."""

    format: Literal[1] = 1
    versions: dict[str, str]
    files: dict[str, FileRecord]


class _Format(BaseModel):
    """What of a manifest every version of it has."""

    format: int


def write_package(target: Path, files: Mapping[str, Path]) -> None:
    """Writes a zip of `files`, by their names in it, and its manifest, atomically.

    The same files and libraries give the same bytes. Raises UserError where `target` cannot be written.
    """
    with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        records = {}
        for name, path in sorted(files.items()):
            with open(path, "rb") as source, archive.open(_member(name, path.stat().st_size), "w") as stored:
                records[name] = _copy(source, stored)
        manifest = Manifest(versions=library_versions(), files=records)
        # The last, so that its checksums are those of the very bytes that went in.
        archive.writestr(_member(MANIFEST_NAME), manifest.model_dump_json(indent=1) + "\n")


def unpack_package(path: Path, allowed: re.Pattern[str]) -> Path:
    """Returns a temporary folder, removed when the process ends, with the files of a package checked and unpacked.

    Raises UserError where `path` is no package, is of a newer format, has a member whose name is not `allowed`, or is
    damaged. Warns where it was packed with another major version of a library.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _checked_manifest(path, archive, allowed)
            folder = Path(tempfile.mkdtemp(prefix="nnunet_tf_"))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            for name, record in manifest.files.items():
                make_folder((folder / name).parent)
                with archive.open(name) as stored, writing(folder / name), open(folder / name, "wb") as unpacked:
                    if _copy(stored, unpacked) != record:
                        raise UserError(
                            f"{path}: {name} is damaged, its checksum is not that of {MANIFEST_NAME}; {REMEDY}"
                        )
    except (zipfile.BadZipFile, EOFError, struct.error, ValueError, RuntimeError) as error:
        raise UserError(f"{path}: is no intact model package ({error}); {REMEDY}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); {REMEDY}") from None
    _warn_of_versions(path, manifest.versions)
    return folder


def library_versions() -> dict[str, str]:
    """Returns the versions of what computes a prediction here, by name."""
    versions = {name: _version(distributions) for name, distributions in DISTRIBUTIONS.items()}
    return versions | {"nnunet_tf": VERSION}


def _checked_manifest(path: Path, archive: zipfile.ZipFile, allowed: re.Pattern[str]) -> Manifest:
    """Everything that can be told before a file is unpacked."""
    members = {info.filename: info for info in archive.infolist()}
    if len(members) < len(archive.infolist()):
        raise UserError(f"{path}: two of its files have one name; {REMEDY}")
    for name in members:
        if name != MANIFEST_NAME and not allowed.fullmatch(name):
            raise UserError(f"{path}: {name!r} is no file of a model, nothing was unpacked; {REMEDY}")
    for info in members.values():
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise UserError(f"{path}: {info.filename} is compressed or encrypted, packages are not; {REMEDY}")
    if sum(info.file_size for info in members.values()) > path.stat().st_size:
        raise UserError(f"{path}: its files claim to be larger than the whole; {REMEDY}")
    if MANIFEST_NAME not in members:
        raise UserError(f"{path}: has no {MANIFEST_NAME}, so it is no model package; {REMEDY}")
    if members[MANIFEST_NAME].file_size > MANIFEST_BYTES:
        raise UserError(f"{path}: its {MANIFEST_NAME} is over {MANIFEST_BYTES} bytes; {REMEDY}")
    manifest = _parsed_manifest(path, archive.read(MANIFEST_NAME))
    sizes = {name: info.file_size for name, info in members.items() if name != MANIFEST_NAME}
    for name in sorted(sizes.keys() | manifest.files.keys()):
        if name not in manifest.files or sizes.get(name) != manifest.files[name].size:
            raise UserError(f"{path}: {name} is missing, added or of another size than {MANIFEST_NAME} says; {REMEDY}")
    return manifest


def _parsed_manifest(path: Path, content: bytes) -> Manifest:
    try:
        stated = _Format.model_validate_json(content).format
        if stated > FORMAT:
            raise UserError(f"{path}: is a package of format {stated}, known here is {FORMAT}; update nnunet_tf")
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "content"
        raise UserError(f"{path}: {MANIFEST_NAME}: {where}: {first['msg']}; {REMEDY}") from None


def _warn_of_versions(path: Path, packed: Mapping[str, str]) -> None:
    here = library_versions()
    other = [
        f"{name} {packed[name]}, here is {number}"
        for name, number in here.items()
        if ABSENT not in (number, packed.get(name, ABSENT))  # what is absent computes nothing
        and packed[name].partition(".")[0] != number.partition(".")[0]
    ]
    if other:
        warnings.warn(f"{path}: packed with {'; '.join(other)}: results may differ", stacklevel=4)


def _version(distributions: tuple[str, ...]) -> str:
    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ABSENT


def _member(name: str, size: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, EARLIEST_TIME)
    info.file_size = size  # so that the header has room for more than 4 GiB where it must
    info.create_system, info.external_attr = UNIX, PLAIN_FILE
    return info


def _copy(source: IO[bytes], target: IO[bytes]) -> FileRecord:
    size, digest = 0, hashlib.sha256()
    for block in _blocks(source):
        size += len(block)
        digest.update(block)
        target.write(block)
    return FileRecord(size=size, sha256=digest.hexdigest())


def _blocks(source: IO[bytes]) -> Iterator[bytes]:
    while block := source.read(COPIED_AT_ONCE):
        yield block
