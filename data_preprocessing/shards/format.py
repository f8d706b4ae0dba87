"""The shard format: what preprocessing leaves for training, one group of NPY files a case.

`<case>_x.npy` image, float32 or float16 `(D, H, W, C)`; `<case>_y.npy` class indices, `(D, H, W, 1)`, uint8 (uint16
past 255 classes); `<case>_f.npy` foreground voxels, int32 `(rows, 3)`; `<case>.json`, written after them, where the
case came from; beside them `plan.json` and, written last of all, `manifest.json`.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, Field, ValidationInfo, model_validator

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import FileRecord, file_record, kept_folder, read_model, write_array, write_model
from data_preprocessing.common.task import TaskConfig
from data_preprocessing.dataset.splits import StatedFold
from data_preprocessing.images.formats.registry import is_picture
from data_preprocessing.planning.plan import PLAN_NAME, Plan, read_plan, write_plan
from data_preprocessing.planning.plan_checks import refuse_repeats
from data_preprocessing.transforms.crop import Box

MANIFEST_NAME = "manifest.json"
SHARD_FORMAT = 2
"""Raised with every change to what the same settings make of a case.

1 (or none stated): labels shifted along the second axis where an axis shrank three times or more, and lost small
structures at even factors; with `--trust-grid` they could be mirrored.
"""
# Cases whose record would otherwise be taken for the folder's own files; each further one has one more `_`.
RESERVED_CASE = re.compile("(plan|manifest)_*", re.IGNORECASE)
ROWS_PER_CLASS = 500
NO_FOREGROUND = -1

ShardType = Literal["float32", "float16"]
# What a shard's content depends on; a change to the rest of the plan leaves the shards as they are.
SHARD_FIELDS = {"format", "dim", "channels", "label_values", "axis_order", "spacing", "normalization", "nonzero_mask"}


class CaseRecord(BaseModel):
    """Where one case's shard came from. Shapes and box are `(z, y, x)` in network axis order, spacing in mm.

    `key` stands for all settings the shard was made with, `sources` and `files` for the files read and written.
    """

    name: str
    key: str
    affine: list[list[float]]
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    crop_box: Box
    shard_shape: tuple[int, int, int]
    class_voxels: list[int]
    sources: dict[str, FileRecord]
    files: dict[str, FileRecord] = {}

    @property
    def of_picture(self) -> bool:
        """Whether it comes from a PNG, BMP, JPEG or TIFF, whose rows are shown from top to bottom."""
        return any(is_picture(Path(name)) for name in self.sources)


class Manifest(BaseModel):
    """All that a complete shard folder holds; its absence says that preprocessing did not finish."""

    format: int = SHARD_FORMAT
    config: TaskConfig
    config_hash: str
    shard_type: ShardType
    versions: dict[str, str]
    cases: list[str]
    files: dict[str, FileRecord]
    groups: dict[str, str] = Field(default={}, description="patient or site of a case")
    splits: tuple[StatedFold, ...] = Field(default=(), description="stated folds; none: made by the number of folds")

    @model_validator(mode="before")
    @classmethod
    def _state_format(cls, content: object, info: ValidationInfo) -> object:
        """A file without a format is of the first one."""
        return {"format": 1} | content if info.mode == "json" and isinstance(content, dict) else content

    @model_validator(mode="after")
    def _lists_all_files(self) -> Self:
        refuse_repeats("cases", self.cases)
        listed = {path.name for case in self.cases for path in shard_paths(Path(), case)}
        for name in sorted(listed ^ self.files.keys()):
            raise ValueError(f"files: {name} {'is missing' if name in listed else 'is of none of the cases'}")
        return self

    def case_checksums(self) -> dict[str, str]:
        """Returns one SHA-256 per case, over those of its shard files."""
        return {case: self._checksum(case) for case in self.cases}

    def _checksum(self, case: str) -> str:
        names = [path.name for path in shard_paths(Path(), case)]
        return hashlib.sha256("".join(self.files[name].sha256 for name in names).encode()).hexdigest()


def shard_paths(folder: Path, case: str) -> list[Path]:
    """Returns the paths of a case's arrays: image, label, foreground voxels."""
    return [path(folder, case) for path in (image_path, label_path, foreground_path)]


def image_path(folder: Path, case: str) -> Path:
    """Returns the path of a case's image shard."""
    return folder / f"{case}_x.npy"


def label_path(folder: Path, case: str) -> Path:
    """Returns the path of a case's label shard."""
    return folder / f"{case}_y.npy"


def foreground_path(folder: Path, case: str) -> Path:
    """Returns the path of a case's table of foreground voxels."""
    return folder / f"{case}_f.npy"


def record_path(folder: Path, case: str) -> Path:
    """Returns the path of a case's record: `<case>.json`, and `plan_.json` of a case that is called plan."""
    return folder / f"{case}{'_' * bool(RESERVED_CASE.fullmatch(case))}.json"


def shard_key(plan: Plan, shard_type: ShardType) -> str:
    """Returns a short hash of all settings that the content of a shard depends on."""
    content = f"{SHARD_FORMAT} {plan.model_dump_json(include=SHARD_FIELDS)}{shard_type}"
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def write_case(
    folder: Path, image: np.ndarray, label: np.ndarray, record: CaseRecord, shard_type: ShardType, seed: int
) -> CaseRecord:
    """Writes one case, image `(D, H, W, C)` and class indices `(D, H, W)`; returns its record with the files in it.

    The record is written last: where it is, the case is complete.
    """
    write_array(image_path(folder, record.name), image.astype(shard_type, copy=False))
    write_array(label_path(folder, record.name), label[..., np.newaxis])
    write_array(foreground_path(folder, record.name), foreground_table(label, seed))
    files = {path.name: file_record(path) for path in shard_paths(folder, record.name)}
    complete = record.model_copy(update={"files": files})
    write_model(record_path(folder, record.name), complete)
    return complete


def finished_case(folder: Path, name: str, key: str, sources: dict[str, Path]) -> CaseRecord | None:
    """Returns the record of a case that is complete, made with the settings of `key` from these files; else None."""
    path = record_path(folder, name)
    if not path.is_file():
        return None
    try:
        record = read_model(path, CaseRecord, remedy="")
    except UserError:  # of another version
        return None
    if record.key != key or not _all_there(folder, record.files):
        return None
    return record if record.sources == {name: file_record(source) for name, source in sources.items()} else None


def foreground_table(label: np.ndarray, seed: int) -> np.ndarray:
    """Returns voxels `(rows, 3)`, int32, of which a uniform draw is first uniform over the classes that are present,
    then over the voxels of that class (up to `ROWS_PER_CLASS` of them, drawn with `seed`).

    Without any foreground there is one row of `NO_FOREGROUND`.
    """
    random = np.random.default_rng(seed)
    flat = label.reshape(-1)
    tables = []
    for class_index in np.unique(flat[flat > 0]):
        voxels = np.flatnonzero(flat == class_index)
        drawn = random.choice(voxels, ROWS_PER_CLASS, replace=len(voxels) < ROWS_PER_CLASS)
        tables.append(np.stack(np.unravel_index(drawn, label.shape), axis=1))
    if not tables:
        return np.full((1, 3), NO_FOREGROUND, np.int32)
    return np.concatenate(tables).astype(np.int32)


def open_shards(folder: Path, remedy: str) -> tuple[Plan, Manifest]:
    """Returns plan and manifest of a complete shard folder.

    Raises UserError, ending in `remedy`, when there is none, preprocessing did not finish, a file is missing, or they
    are of another format or made with another plan.
    """
    plan = read_plan(folder, remedy)
    manifest = read_model(folder / MANIFEST_NAME, Manifest, remedy)
    if manifest.format != SHARD_FORMAT:
        raise UserError(f"{folder}: {_other_format(manifest.format)}; {remedy}")
    if manifest.config_hash != plan.config_hash:
        raise UserError(f"{folder}: plan.json and manifest.json come from different configs; {remedy}")
    if not manifest.cases:
        raise UserError(f"{folder / MANIFEST_NAME}: cases: lists none; {remedy}")
    for name, record in manifest.files.items():
        if not _all_there(folder, {name: record}):
            raise UserError(f"{folder / name}: missing or of the wrong size; {remedy}")
    case = read_model(record_path(folder, manifest.cases[0]), CaseRecord, remedy)
    if case.key != shard_key(plan, manifest.shard_type):
        raise UserError(f"{folder / PLAN_NAME}: was changed since the shards were made, or is not theirs; {remedy}")
    return plan, manifest


def check_config(folder: Path, manifest: Manifest, config: TaskConfig, remedy: str) -> None:
    """Raises UserError, ending in `remedy`, when the shards were made with another config, and says what differs.

    How to train is no matter of the shards.
    """
    made, wanted = manifest.config.model_dump(exclude={"training"}), config.model_dump(exclude={"training"})
    differing = [
        f"{name} is {_said(wanted[name])}, was {_said(made[name])}" for name in wanted if wanted[name] != made[name]
    ]
    if differing:
        raise UserError(f"{folder}: the shards were made with another config ({'; '.join(differing)}); {remedy}")


def _other_format(found: int) -> str:
    """What is wrong with shards of that format."""
    if found > SHARD_FORMAT:
        return f"its shards have format {found}, and this version reads {SHARD_FORMAT}"
    return f"its shards have format {found}, in which resampled labels can lie shifted or lack small structures"


def _said(value: object) -> object:
    return "left open" if value is None else value


@contextmanager
def filling(folder: Path) -> Iterator[None]:
    """Makes `folder` and keeps it for this process: until `finish_folder` it counts as incomplete.

    Raises UserError when another process is filling it.
    """
    with kept_folder(folder, "preprocess.py"):
        (folder / MANIFEST_NAME).unlink(missing_ok=True)
        yield


def finish_folder(folder: Path, plan: Plan, manifest: Manifest) -> None:
    """Writes the plan and, last, the manifest, and removes the shards of cases that are no longer in the data set."""
    kept = {*manifest.files, *(record_path(folder, case).name for case in manifest.cases), MANIFEST_NAME, PLAN_NAME}
    for path in folder.iterdir():
        if path.name not in kept and path.suffix in (".npy", ".json"):
            path.unlink()
    write_plan(folder, plan)
    write_model(folder / MANIFEST_NAME, manifest)


def _all_there(folder: Path, files: dict[str, FileRecord]) -> bool:
    sizes = {name: (folder / name).stat().st_size if (folder / name).is_file() else None for name in files}
    return all(sizes[name] == record.size for name, record in files.items())
