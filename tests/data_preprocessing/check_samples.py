"""A clean data set of five cases, whose files the tests of the checks break one by one."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from data_preprocessing.dataset.verify import check_dataset
from data_preprocessing.images.checks.finding import Finding, Row
from data_preprocessing.jobs.backend import Backend, Processes
from tests.data_preprocessing.samples import RAS_SPACING, make_config, save

SHAPE = (5, 6, 7)  # (i, j, k), all different
AFFINE = np.diag([*RAS_SPACING, 1])
CASES = ("a", "b", "c", "d", "e")


@dataclass(frozen=True)
class Sample:
    """The data set `folder` under `data`, uncompressed, so that its bytes can be changed."""

    data: Path

    @property
    def folder(self) -> Path:
        return self.data / "Task91_Tiny"

    @property
    def description(self) -> Path:
        return self.folder / "dataset.json"

    def image(self, case: str = "c", channel: int | None = None) -> Path:
        suffix = "" if channel is None else f"_{channel:04d}"
        return self.folder / "imagesTr" / f"{case}{suffix}.nii"

    def label(self, case: str = "c") -> Path:
        return self.folder / "labelsTr" / f"{case}.nii"

    def describe(self, cases: Sequence[str] = CASES, suffix: str = ".nii", **changes) -> None:
        """Writes dataset.json with some parts changed."""
        content = {
            "modality": {"0": "MRI"},
            "labels": {"0": "background", "1": "organ", "2": "lesion"},
            "numTraining": len(cases),
            "training": [
                {"image": f"./imagesTr/{case}{suffix}", "label": f"./labelsTr/{case}{suffix}"} for case in cases
            ],
        }
        self.description.write_text(json.dumps(content | changes))

    def check(self, dim=3, backend: Backend = Processes(), **options) -> list[Finding]:
        found = check_dataset(make_config().dataset, dim, self.data, backend, **options)
        # Images that a test makes alike on purpose are the same image, which is warned of: not what it is about.
        return [finding for finding in found if not finding.problem.endswith("are the same image")]

    def rows(self, **options) -> list[Row]:
        return [finding.row for finding in self.check(**options)]


def write_sample(data: Path) -> Sample:
    """Writes the clean data set."""
    sample = Sample(data)
    for number, case in enumerate(CASES):
        save(sample.image(case), np.roll(intensities(), number), AFFINE)
        save(sample.label(case), numbers(), AFFINE)
    sample.describe()
    return sample


def intensities(shape: Sequence[int] = SHAPE, dtype: type = np.int16) -> np.ndarray:
    """Returns voxels from 1 to 99."""
    return np.random.default_rng(0).integers(1, 100, shape).astype(dtype)


def numbers(dtype: type = np.uint8) -> np.ndarray:
    """Returns the voxels of a label: an organ with a lesion, the same from no two sides."""
    voxels = np.zeros(SHAPE, dtype)
    voxels[1:3, 1:4, 2:5] = 1
    voxels[2, 1:3, 3] = 2
    return voxels


def with_value(voxels: np.ndarray, value: float) -> np.ndarray:
    """Returns the voxels with `value` at one of them."""
    voxels[2, 3, 4] = value
    return voxels


def patch(path: Path, field: str, *values: object, first: int = 0) -> None:
    """Overwrites a field of the header of an uncompressed NIfTI-1 file, or some of its numbers from `first` on."""
    content = bytearray(path.read_bytes())
    header = np.frombuffer(content, nib.Nifti1Header.template_dtype, count=1)[0]
    if header[field].ndim:
        header[field][first : first + len(values)] = values
    else:
        header[field] = values[0]
    path.write_bytes(content)


def write_affine(path: Path, affine: np.ndarray) -> None:
    """Overwrites the sform of an uncompressed NIfTI-1 file and nothing else."""
    for row, name in enumerate(("srow_x", "srow_y", "srow_z")):
        patch(path, name, *affine[row])


def said(finding: Finding) -> str:
    """Returns what reading the file must say of an error."""
    return f"{finding.file}: {finding.problem}; {finding.remedy}"
