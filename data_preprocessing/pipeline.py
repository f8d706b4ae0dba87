"""The whole stage: every training case of a data set to shards, in parallel processes."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from data_preprocessing.dataset import Case, Dataset, load_dataset
from data_preprocessing.errors import UserError
from data_preprocessing.plan import Plan, folder_name, make_plan
from data_preprocessing.prepare import place, prepare_image, prepare_label, read_case
from data_preprocessing.shards import CaseRecord, FileRecord, Manifest, finish_folder, start_folder, write_case
from data_preprocessing.task import Dimensions, TaskConfig
from data_preprocessing.volume_io import read_label

LIBRARIES = ("numpy", "scipy", "nibabel")  # their versions are recorded with the shards


@dataclass(frozen=True)
class Summary:
    """What one run of preprocessing made."""

    folder: Path
    cases: int
    bytes: int
    class_voxels: dict[str, int]


def preprocess(
    config: TaskConfig,
    dim: Dimensions,
    data: Path,
    shards: Path,
    n_jobs: int,
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> Summary:
    """Turns the training cases of `config` under `data` into shards under `shards/taskNN_{dim}d`.

    `on_case(done, total)` is called after each case. Raises UserError for the first case that cannot be used; the
    folder then has no manifest, which training takes for incomplete.
    """
    dataset = load_dataset(data, config.dataset)
    plan = make_plan(config, dataset, dim)
    folder = shards / folder_name(config.task, dim)
    start_folder(folder)
    jobs = (delayed(preprocess_case)(case, dataset, plan, folder) for case in dataset.training)
    files: dict[str, FileRecord] = {}
    voxels = np.zeros(len(plan.classes), np.int64)
    total = len(dataset.training)
    # The order of results does not matter: the manifest is sorted.
    results = Parallel(n_jobs=min(n_jobs, total), return_as="generator_unordered")(jobs)
    for done, (record, written) in enumerate(results, start=1):
        files |= written
        voxels += np.array(record.class_voxels)
        on_case(done, total)
    if not voxels[1:].any():
        raise UserError(f"{dataset.folder}: no label file holds any foreground voxel; check labels in dataset.json")
    manifest = Manifest(
        config_hash=plan.config_hash,
        versions={name: version(name) for name in LIBRARIES},
        cases=[case.name for case in dataset.training],
        files=dict(sorted(files.items())),
    )
    finish_folder(folder, plan, manifest)
    size = sum(record.size for record in files.values())
    return Summary(folder, total, size, dict(zip(plan.classes, voxels.tolist(), strict=True)))


def preprocess_case(case: Case, dataset: Dataset, plan: Plan, folder: Path) -> tuple[CaseRecord, dict[str, FileRecord]]:
    """Writes the shard of one training case; returns its record and the files written.

    Raises UserError when image or label cannot be used.
    """
    if case.label is None:
        raise UserError(f"case {case.name}: has no label; training cases need one")
    volume = read_case(case, plan)
    classes = class_indices(read_label(case.label, volume), dataset.labels, case.label)
    placement = place(volume, plan)
    image = prepare_image(volume, placement, plan)
    label = prepare_label(classes, placement, plan)
    record = CaseRecord(
        name=case.name,
        image_files=[path.name for path in case.images],
        affine=volume.source.affine.tolist(),
        shape=placement.shape,
        spacing=placement.spacing,
        crop_box=placement.box,
        shard_shape=image.shape[:3],
        class_voxels=np.bincount(label.reshape(-1), minlength=len(plan.classes)).tolist(),
    )
    return record, write_case(folder, image, label, record, seed=zlib.crc32(case.name.encode()))


def class_indices(labels: np.ndarray, names: dict[int, str], path: Path) -> np.ndarray:
    """Returns the class index of each label number, uint8 (uint16 past 255 classes), by its place in `names`.

    Raises UserError naming `path` for a number that `names` does not declare.
    """
    numbers = np.array(list(names))
    indices = np.searchsorted(numbers, labels).clip(max=len(numbers) - 1)
    undeclared = np.unique(labels[numbers[indices] != labels])
    if undeclared.size:
        raise UserError(
            f"{path}: label {', '.join(map(str, undeclared[:5]))} is not declared in dataset.json "
            f"({', '.join(f'{number}={name}' for number, name in names.items())}); declare it or correct the file"
        )
    return indices.astype(np.uint8 if len(numbers) <= 256 else np.uint16)
