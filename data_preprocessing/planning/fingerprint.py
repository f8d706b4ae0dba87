"""The fingerprint of a data set: what the planner, and a config that leaves numbers out, are filled in from."""

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import read_model, write_model
from data_preprocessing.common.task import Strict
from data_preprocessing.common.text import counted
from data_preprocessing.dataset.dataset import Case, Dataset
from data_preprocessing.dataset.memory import estimate_reading
from data_preprocessing.images.volume_io import read_image, read_label
from data_preprocessing.jobs.backend import Backend, Processes, run_small_jobs
from data_preprocessing.jobs.process_pool import Job
from data_preprocessing.transforms.crop import bounding_box, crop

FINGERPRINT_NAME = "fingerprint.json"
# Foreground voxels a channel, over the whole data set. nnU-Net v2 takes 10^8 (400 MB a channel); with 10^7 a percentile
# of the sample lies within 0.005 points of that of all voxels.
SAMPLED_VOXELS = 10_000_000
LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5


class CaseGeometry(Strict):
    """Size of one case; all in array order `(z, y, x)` of the RAS+ volume, spacing in mm."""

    name: str
    shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    spacing: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    box_shape: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(description="of the nonzero box")
    box_share: float = Field(gt=0, le=1, description="voxels of the nonzero box / voxels of the volume")


class ChannelIntensities(Strict):
    """Foreground voxels of one channel, pooled over the cases, in the units of the image files."""

    mean: float
    std: float
    low: float = Field(description="0.5 percentile")
    high: float = Field(description="99.5 percentile")


class Fingerprint(Strict):
    """What is known of a data set after reading every training case once; cases are sorted by name."""

    format: Literal[2] = 2  # in 1, labels on a trusted grid could be mirrored
    dataset: str
    channels: tuple[str, ...]
    cases: tuple[CaseGeometry, ...]
    intensities: tuple[ChannelIntensities, ...] = Field(description="one a channel")
    files_hash: str = Field(default="", description="of names, sizes and times of the files it was collected from")


def collect(
    dataset: Dataset,
    backend: Backend = Processes(),
    on_case: Callable[[int, int], None] = lambda done, total: None,
    trust_grid: bool = False,
) -> Fingerprint:
    """Returns the fingerprint of the training cases of `dataset`, which `backend` reads where they are large.

    It does not depend on `backend`. `on_case(done, total)` is called after each case. Every case gives the same number
    of foreground voxels, drawn with replacement, so that small structures count as much as large ones; source: nnU-Net
    v2, `DatasetFingerprintExtractor`. `trust_grid` is that of `read_label`. Raises UserError for a case that
    cannot be used, and where no label has any foreground.
    """
    total = len(dataset.training)
    samples = max(1, SAMPLED_VOXELS // total)
    described = replace(dataset, training=())  # a job is sent what it needs
    jobs = [
        Job(case.name, collect_case, (case, described, samples, trust_grid), estimate_reading(case))
        for case in dataset.training
    ]
    files = [file for case in dataset.training for file in case.files]
    geometries: dict[str, CaseGeometry] = {}
    drawn: dict[str, np.ndarray] = {}
    for done, outcome in enumerate(run_small_jobs(jobs, files, backend), start=1):
        if outcome.result is None:
            raise (UserError if outcome.user_error else RuntimeError)(f"{outcome.name}: {outcome.failure}")
        geometry, voxels = outcome.result
        geometries[geometry.name], drawn[geometry.name] = geometry, voxels
        on_case(done, total)
    names = sorted(geometries)
    if not any(len(voxels) for voxels in drawn.values()):
        raise UserError(f"{dataset.folder}: no label file holds any foreground voxel; check labels in dataset.json")
    return Fingerprint(
        dataset=dataset.folder.name,
        channels=dataset.channels,
        cases=tuple(geometries[name] for name in names),
        intensities=tuple(
            channel_intensities(np.concatenate([drawn[name][:, channel] for name in names]))
            for channel in range(len(dataset.channels))
        ),
        files_hash=files_hash(dataset),
    )


def collect_case(
    case: Case, dataset: Dataset, samples: int, trust_grid: bool = False
) -> tuple[CaseGeometry, np.ndarray]:
    """Returns the size of one case and the values of `samples` of its foreground voxels, float32 `(samples, channel)`.

    Foreground is what any label number but 0 marks inside the nonzero box; without any, the second array is empty. The
    draw depends on the case's name only. Raises UserError when image or label cannot be used.
    """
    if case.label is None:
        raise UserError(f"case {case.name}: has no label; training cases need one")
    volume = read_image(case.images, channels=len(dataset.channels))
    image = volume.array
    if image.shape[3] != len(dataset.channels):
        raise UserError(
            f"{case.images[0]}: {counted(image.shape[3], 'channel')} where dataset.json lists "
            f"{len(dataset.channels)} ({', '.join(dataset.channels)}); correct one of them"
        )
    depth, height, width = image.shape[:3]
    box = bounding_box((image != 0).any(axis=-1))
    box_depth, box_height, box_width = (stop - start for start, stop in box)
    geometry = CaseGeometry(
        name=case.name,
        shape=(depth, height, width),
        spacing=volume.spacing,
        box_shape=(box_depth, box_height, box_width),
        box_share=box_depth * box_height * box_width / (depth * height * width),
    )
    foreground = crop(image, box)[crop(read_label(case.label, volume, trust_grid) > 0, box)]
    if not len(foreground):
        return geometry, foreground
    random = np.random.default_rng(zlib.crc32(case.name.encode()))
    return geometry, foreground[random.integers(len(foreground), size=samples)]


def channel_intensities(voxels: np.ndarray) -> ChannelIntensities:
    """Returns mean, deviation and percentiles of the values `voxels` `(N,)` of one channel."""
    low, high = np.percentile(voxels, (LOW_PERCENTILE, HIGH_PERCENTILE))
    return ChannelIntensities(
        mean=float(voxels.mean(dtype=np.float64)),
        std=float(voxels.std(dtype=np.float64)),
        low=float(low),
        high=float(high),
    )


def files_hash(dataset: Dataset) -> str:
    """Returns a hash of channels and of name, size and time of change of every training file.

    A stored fingerprint with the same `files_hash` needs no collecting again.
    """
    digest = hashlib.sha256(repr(dataset.channels).encode())
    for case in dataset.training:
        for path in case.files:
            status = path.stat()
            digest.update(f"{case.name} {path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def load_or_collect(
    folder: Path,
    dataset: Dataset,
    backend: Backend = Processes(),
    on_case: Callable[[int, int], None] = lambda done, total: None,
    trust_grid: bool = False,
    keep: bool = True,
) -> Fingerprint:
    """Returns the fingerprint kept in `folder` if it is still that of `dataset`, else collects it and keeps it there.

    With `keep` false nothing is written. Raises UserError as `collect` does.
    """
    if (folder / FINGERPRINT_NAME).is_file():
        try:
            kept = read_fingerprint(folder, remedy="")
            if kept.files_hash == files_hash(dataset):
                return kept
        except UserError:  # of another version: collected anew
            pass
    fingerprint = collect(dataset, backend, on_case, trust_grid)
    if keep:
        write_fingerprint(folder, fingerprint)
    return fingerprint


def read_fingerprint(folder: Path, remedy: str) -> Fingerprint:
    """Returns the fingerprint kept in `folder`; raises UserError, ending in `remedy`, where there is none."""
    return read_model(folder / FINGERPRINT_NAME, Fingerprint, remedy)


def write_fingerprint(folder: Path, fingerprint: Fingerprint) -> None:
    """Writes the fingerprint into `folder` as `fingerprint.json`, atomically."""
    write_model(folder / FINGERPRINT_NAME, fingerprint)
