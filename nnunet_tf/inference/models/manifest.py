"""`model.json`: the files that make up a complete model, with their checksums. Older models have none.

Files are replaced one by one, so that a run may be killed between any two. Before that, the manifest lists what each
file is and what it will be, where they fit together (further epochs of one run), and is incomplete where they do not (a
run over an older model); after it, it lists what each file is.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import FileRecord, file_record, read_model, write_model, writing
from data_preprocessing.common.task import Strict

MODEL_MANIFEST_NAME = "model.json"
TRAIN_AGAIN = "train it again with --overwrite"


class ModelManifest(Strict):
    """Of each file of a model what it is; two records where the second was about to replace the first."""

    format: Literal[1] = 1
    complete: bool
    files: dict[str, tuple[FileRecord, ...]]


def check_model_files(folder: Path, names: Collection[str], remedy: str) -> None:
    """Raises UserError where `names` in a model's folder are not those that its manifest lists; without one they pass.

    `remedy` ends the message about a file that was changed.
    """
    path = folder / MODEL_MANIFEST_NAME
    if not path.exists():
        return
    manifest = read_model(path, ModelManifest, remedy)
    if not manifest.complete:
        raise UserError(f"{folder}: training stopped while it replaced an older model; {TRAIN_AGAIN}")
    for name in names:
        if name not in manifest.files:
            raise UserError(f"{folder / name}: is not among the files of {MODEL_MANIFEST_NAME}; {remedy}")
        with_size = [each for each in manifest.files[name] if each.size == (folder / name).stat().st_size]
        if not with_size or file_record(folder / name) not in with_size:
            raise UserError(f"{folder / name}: is not the file that {MODEL_MANIFEST_NAME} lists; {remedy}")


@contextmanager
def replacing_model(
    folder: Path, written: Collection[str], kept: Collection[str], same: Collection[str]
) -> Iterator[Path]:
    """Yields a prefix: the block writes each of `written` under it; then they replace the model's files.

    `kept` are the files of the model that stay as they are. The model counts as the older one's continuation where the
    files `same`, among those written, are what they were. Raises UserError where they cannot be written.
    """
    prefix = folder / f".{os.getpid()}."
    temporary = {name: prefix.with_name(prefix.name + name) for name in written}
    manifest = folder / MODEL_MANIFEST_NAME
    try:
        yield prefix
        for path in temporary.values():
            with writing(path), open(path, "rb") as stream:
                os.fsync(stream.fileno())
        new = {name: (file_record(path),) for name, path in temporary.items()}
        old = _current(folder, [*written, *kept])
        goes_on = not _is_incomplete(manifest) and all(old.get(name) == new[name] for name in same)
        both = {name: tuple(dict.fromkeys([*old.get(name, ()), *new.get(name, ())])) for name in {*old, *new}}
        write_model(manifest, ModelManifest(complete=goes_on, files=both if goes_on else {}))
        for name, path in temporary.items():
            with writing(folder / name):
                path.replace(folder / name)
        stay = {name: old[name] for name in kept if name in old} if goes_on else {}
        write_model(manifest, ModelManifest(complete=True, files=stay | new))
    finally:
        for path in temporary.values():
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _is_incomplete(path: Path) -> bool:
    try:
        return path.exists() and not read_model(path, ModelManifest, "").complete
    except UserError:  # damaged
        return True


def _current(folder: Path, names: Collection[str]) -> dict[str, tuple[FileRecord, ...]]:
    return {name: (file_record(folder / name),) for name in names if (folder / name).is_file()}
