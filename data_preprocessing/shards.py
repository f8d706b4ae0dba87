"""The shard format: what preprocessing leaves for training, one group of NPY files a case.

`<case>_x.npy` image, float32 `(D, H, W, C)`; `<case>_y.npy` class indices, `(D, H, W, 1)`, uint8 (uint16 past 255
classes); `<case>_f.npy` foreground voxels, int32 `(rows, 3)`; `<case>.json` where the case came from; beside them
`plan.json` and, written last, `manifest.json`.
"""

from pathlib import Path

import numpy as np
from pydantic import BaseModel

from data_preprocessing.crop import Box
from data_preprocessing.errors import UserError
from data_preprocessing.files import checksum, read_model, write_array, write_model
from data_preprocessing.plan import Plan, read_plan, write_plan

MANIFEST_NAME = "manifest.json"
ROWS_PER_CLASS = 500
NO_FOREGROUND = -1


class CaseRecord(BaseModel):
    """Where one case's shard came from. Shapes and box are `(z, y, x)` in network axis order, spacing in mm."""

    name: str
    image_files: list[str]
    affine: list[list[float]]
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    crop_box: Box
    shard_shape: tuple[int, int, int]
    class_voxels: list[int]


class FileRecord(BaseModel):
    """Size in bytes and SHA-256 of one file."""

    size: int
    sha256: str


class Manifest(BaseModel):
    """All that a complete shard folder holds; its absence says that preprocessing did not finish."""

    config_hash: str
    versions: dict[str, str]
    cases: list[str]
    files: dict[str, FileRecord]


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
    """Returns the path of a case's record."""
    return folder / f"{case}.json"


def write_case(
    folder: Path, image: np.ndarray, label: np.ndarray, record: CaseRecord, seed: int
) -> dict[str, FileRecord]:
    """Writes one case, image `(D, H, W, C)` and class indices `(D, H, W)`; returns what was written, by file name."""
    write_array(image_path(folder, record.name), image.astype(np.float32, copy=False))
    write_array(label_path(folder, record.name), label[..., np.newaxis])
    write_array(foreground_path(folder, record.name), foreground_table(label, seed))
    write_model(record_path(folder, record.name), record)
    paths = [path(folder, record.name) for path in (image_path, label_path, foreground_path, record_path)]
    return {path.name: FileRecord(size=path.stat().st_size, sha256=checksum(path)) for path in paths}


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

    Raises UserError, ending in `remedy`, when there is none, preprocessing did not finish, or a file is missing.
    """
    plan = read_plan(folder, remedy)
    manifest = read_model(folder / MANIFEST_NAME, Manifest, remedy)
    if manifest.config_hash != plan.config_hash:
        raise UserError(f"{folder}: plan.json and manifest.json come from different configs; {remedy}")
    for name, record in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != record.size:
            raise UserError(f"{path}: missing or of the wrong size; {remedy}")
    return plan, manifest


def start_folder(folder: Path) -> None:
    """Makes `folder` ready for new shards: until `finish_folder` it counts as incomplete."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST_NAME).unlink(missing_ok=True)


def finish_folder(folder: Path, plan: Plan, manifest: Manifest) -> None:
    """Writes the plan and, last, the manifest, and removes the shards of cases that are no longer in the data set."""
    write_plan(folder, plan)
    write_model(folder / MANIFEST_NAME, manifest)
    kept = {*manifest.files, MANIFEST_NAME, "plan.json"}
    for path in folder.iterdir():
        if path.name not in kept and path.suffix in (".npy", ".json"):
            path.unlink()
