"""The whole stage: every training case of a data set to shards, in parallel processes."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import file_record, make_folder, refuse_clashing_names
from data_preprocessing.common.task import TaskConfig
from data_preprocessing.dataset.dataset import Case, Dataset
from data_preprocessing.dataset.splits import StatedFold
from data_preprocessing.dataset.training_case import read_training_case, source_files
from data_preprocessing.jobs.backend import Backend
from data_preprocessing.jobs.process_pool import Job, Outcome, count_failed
from data_preprocessing.planning.plan import Plan
from data_preprocessing.shards.format import (
    CaseRecord,
    Manifest,
    ShardType,
    filling,
    finish_folder,
    finished_case,
    shard_key,
    write_case,
)
from data_preprocessing.shards.prepare import (
    check_prepared_size,
    crop_and_normalize,
    estimate_memory,
    place,
    prepare_label,
    resample_prepared,
)

LIBRARIES = ("numpy", "scipy", "nibabel")  # their versions are recorded with the shards


@dataclass(frozen=True)
class Summary:
    """What one run of preprocessing made: the records of the cases that are done, and the jobs that failed."""

    folder: Path
    records: Sequence[CaseRecord]
    failures: Sequence[Outcome] = field(default=())

    @property
    def bytes(self) -> int:
        """Size of all shards."""
        return sum(file.size for record in self.records for file in record.files.values())


def preprocess(
    config: TaskConfig,
    dataset: Dataset,
    plan: Plan,
    folder: Path,
    backend: Backend,
    shard_type: ShardType = "float32",
    trust_grid: bool = False,
    on_case: Callable[[int, int, int], None] = lambda done, total, failed: None,
    warn: Callable[[str], None] = lambda message: None,
    splits: Sequence[StatedFold] = (),
) -> Summary:
    """Has `backend` turn the training cases of `dataset` into shards in `folder`; those that are there are kept.

    `on_case(done, total, failed)` is called after each case, those that failed being among the done; `warn` is told of
    cases that may need more memory than there is; `trust_grid` is that of `preprocess_case`; `splits` are kept for
    training. When a case fails the
    others go on, the failure is in the summary, and the folder has no manifest, which training takes for incomplete.
    Raises UserError when no case has foreground.
    """
    described = replace(dataset, training=())  # a job is sent what it needs
    jobs = [
        Job(
            case.name,
            preprocess_case,
            (case, described, plan, folder, shard_type, trust_grid),
            estimate_memory(case, plan),
        )
        for case in dataset.training
    ]
    memory = backend.room()
    for job in jobs:
        if job.memory > memory:
            warn(
                f"case {job.name}: may take {job.memory / 2**30:.1f} of the {memory / 2**30:.1f} GiB to be used; "
                "it is worked on alone, which may be slow"
            )
    make_folder(folder)
    refuse_clashing_names(folder, [case.name for case in dataset.training])
    with filling(folder):
        outcomes: list[Outcome[CaseRecord]] = []
        for outcome in backend.run(jobs):
            outcomes.append(outcome)
            on_case(len(outcomes), len(jobs), count_failed(outcomes))
        outcomes.sort(key=lambda outcome: outcome.name)
        records = [outcome.result for outcome in outcomes if outcome.result is not None]
        summary = Summary(folder, records, [outcome for outcome in outcomes if outcome.failure is not None])
        if not summary.failures:
            if not any(sum(record.class_voxels[1:]) for record in records):
                raise UserError(f"{dataset.folder}: no label holds any foreground; check labels in dataset.json")
            finish_folder(folder, plan, _manifest(config, plan, shard_type, records, dataset, splits))
    return summary


def _manifest(
    config: TaskConfig,
    plan: Plan,
    shard_type: ShardType,
    records: Sequence[CaseRecord],
    dataset: Dataset,
    splits: Sequence[StatedFold],
) -> Manifest:
    return Manifest(
        config=config,
        config_hash=plan.config_hash,
        shard_type=shard_type,
        versions={name: version(name) for name in LIBRARIES},
        cases=[record.name for record in records],
        files={name: file for record in records for name, file in record.files.items()},
        groups=dict(dataset.groups),
        splits=tuple(splits),
    )


def preprocess_case(
    case: Case, dataset: Dataset, plan: Plan, folder: Path, shard_type: ShardType, trust_grid: bool = False
) -> CaseRecord:
    """Writes the shard of one training case, unless it is there already; returns its record.

    With `trust_grid` a label of another affine than its image's is taken to lie on the image all the same. Raises
    UserError when image or label cannot be used.
    """
    key = shard_key(plan, shard_type)
    sources = source_files(case, dataset.folder)
    finished = finished_case(folder, case.name, key, sources)
    if finished is not None:
        return finished
    volume, classes = read_training_case(case, dataset, trust_grid)
    check_prepared_size(case.images[0], volume, plan)
    placement = place(volume, plan)
    affine = volume.source.affine.tolist()
    normalized = crop_and_normalize(volume, placement, plan)
    del volume  # a large scan is not kept in memory beside what becomes of it
    image = resample_prepared(normalized, placement)
    del normalized
    label = prepare_label(classes, placement, plan)
    record = CaseRecord(
        name=case.name,
        key=key,
        affine=affine,
        shape=placement.shape,
        spacing=placement.spacing,
        crop_box=placement.box,
        shard_shape=image.shape[:3],
        class_voxels=_class_voxels(label, len(plan.classes)),
        sources={name: file_record(path) for name, path in sources.items()},
    )
    return write_case(folder, image, label, record, shard_type, seed=zlib.crc32(case.name.encode()))


def _class_voxels(label: np.ndarray, classes: int) -> list[int]:
    # Plane by plane: bincount makes eight bytes of each voxel it is given.
    return np.sum([np.bincount(plane.reshape(-1), minlength=classes) for plane in label], axis=0).tolist()
