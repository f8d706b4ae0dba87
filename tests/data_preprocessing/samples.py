"""Small volumes, files and data sets that the tests of this folder share."""

import itertools
import json
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from matplotlib.image import imread
from PIL import Image

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.task import TaskConfig
from data_preprocessing.dataset.dataset import Case, Dataset
from data_preprocessing.images.volume_io import read_image
from data_preprocessing.planning.plan import Plan, make_plan
from data_preprocessing.shards.pipeline import preprocess_case

RAS_SHAPE = (3, 4, 5)  # (x, y, z), all different, so that no two axes can be confused
RAS_SPACING = (0.5, 1.5, 2.5)  # mm along (x, y, z), all different and exact in binary
TURN = np.array([[0.936, -0.2896, 0.2], [0.3136, 0.945, -0.0926], [-0.1622, 0.1494, 0.9754]])  # about 20 degrees


@dataclass(frozen=True)
class Layout:
    """How a file lays out its voxels: its axis `i` runs along RAS axis `axes[i]`, in direction `signs[i]`."""

    axes: tuple[int, ...]
    signs: tuple[int, ...]
    oblique: bool = False

    def __str__(self):
        code = "".join(
            "RAS"[axis] if sign > 0 else "LPI"[axis] for axis, sign in zip(self.axes, self.signs, strict=True)
        )
        return f"{code}-oblique" if self.oblique else code

    def voxels(self, ras: np.ndarray) -> np.ndarray:
        """Returns RAS `(x, y, z, ...)` voxels in the file's order `(i, j, k, ...)`."""
        flips = tuple(slice(None, None, sign) for sign in self.signs)
        return ras.transpose(*self.axes, *range(3, ras.ndim))[flips]

    def affine(self, ras_shape: Sequence[int] = RAS_SHAPE, ras_spacing: Sequence[float] = RAS_SPACING) -> np.ndarray:
        """Returns the affine that puts those voxels at the same world positions (mm) in every layout."""
        affine = np.eye(4)
        affine[:3, :3] = 0
        for column, (axis, sign) in enumerate(zip(self.axes, self.signs, strict=True)):
            affine[axis, column] = sign * ras_spacing[axis]
            if sign < 0:
                affine[axis, 3] = (ras_shape[axis] - 1) * ras_spacing[axis]
        affine[:3, 3] += (-7.0, 11.0, 3.0)
        if self.oblique:
            rotation, _, transposed = np.linalg.svd(TURN)
            affine[:3] = rotation @ transposed @ affine[:3]
        return affine


LAYOUTS = [
    Layout(axes, signs) for axes in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
]  # all 48
OBLIQUE = [Layout((0, 1, 2), (1, 1, 1), oblique=True), Layout((2, 0, 1), (-1, 1, -1), oblique=True)]
RAS, LPS = Layout((0, 1, 2), (1, 1, 1)), Layout((0, 1, 2), (-1, -1, 1))
every_layout = pytest.mark.parametrize("layout", LAYOUTS + OBLIQUE, ids=str)


def anatomy(shape: Sequence[int] = RAS_SHAPE, dtype: type = np.int16) -> np.ndarray:
    """Returns RAS `(x, y, z)` voxels that all differ, from 1 up."""
    return np.arange(1, np.prod(shape) + 1).reshape(shape).astype(dtype)


def save(path: Path, voxels: np.ndarray, affine: np.ndarray | None = None, kind: type = nib.Nifti1Image) -> Path:
    """Writes `voxels` with nibabel, millimetres as the unit; returns `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = kind(voxels, np.diag([*RAS_SPACING, 1]) if affine is None else affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path


def patched(path: Path, offset: int, form: str, *values: float) -> Path:
    """Overwrites header fields of an uncompressed NIfTI-1 file, `form` as in `struct`; returns `path`."""
    content = bytearray(path.read_bytes())
    struct.pack_into(form, content, offset, *values)
    path.write_bytes(content)
    return path


def moved(affine: np.ndarray, row: int, column: int, by: float) -> np.ndarray:
    """Returns a copy of `affine` of which one number is larger `by`."""
    affine = affine.copy()
    affine[row, column] += by
    return affine


def read(path: Path) -> np.ndarray:
    """Returns the voxels of a file of one channel, `(z, y, x)`."""
    return read_image((path,)).array[..., 0]


@contextmanager
def refused(path: Path | str, match: str | None = None) -> Iterator[None]:
    """The block must raise a UserError of one line that names `path` and matches the pattern `match`."""
    with pytest.raises(UserError, match=match) as caught:
        yield
    message = str(caught.value)
    assert str(path) in message
    assert len(message.splitlines()) == 1


def make_config(**changes) -> TaskConfig:
    """Returns a small config with some fields changed."""
    fields = {
        "task": "91",
        "nonzero_mask": False,
        "dataset": "Task91_Tiny",
        "patch_size_3d": (8, 8, 8),
        "spacing_3d": (1.0, 1.0, 1.0),
        "patch_size_2d": (8, 8),
        "spacing_2d": (1.0, 1.0),
    }
    return TaskConfig(**(fields | changes))


def make_dataset(channels: Sequence[str] = ("MRI",), labels: dict[int, str] | None = None) -> Dataset:
    """Returns a data set without cases."""
    return Dataset(Path("Task91_Tiny"), tuple(channels), labels or {0: "background", 1: "organ"}, ())


def write_square(folder: Path, suffix: str) -> tuple[Path, Plan]:
    """Makes shards of a slice named "square", whose first rows and columns, as stored, are class 1.

    Returns their folder and plan.
    """
    pixels = np.zeros((40, 40), np.uint8)  # (row, column)
    pixels[2:12, 2:12] = 1
    paths = [folder / kind / f"square{suffix}" for kind in ("imagesTr", "labelsTr")]
    for path, content in zip(paths, (pixels + 1, pixels), strict=True):  # of zeros nothing would be left around it
        path.parent.mkdir()
        if suffix == ".png":
            Image.fromarray(content).save(path)
        else:
            save(path, content.T[..., np.newaxis], np.eye(4))
    plan = make_plan(make_config(), make_dataset(), 2)
    dataset = replace(make_dataset(), folder=folder)
    preprocess_case(Case("square", (paths[0],), paths[1]), dataset, plan, folder / "shards", "float32")
    return folder / "shards", plan


def middle_of_colour(picture: Path) -> tuple[float, float]:
    """Returns where the coloured part of a PNG lies: shares of its height, from the top, and of its width."""
    pixels = imread(picture)
    row, column = np.argwhere(np.ptp(pixels[..., :3], axis=-1) > 0.2).mean(axis=0) / pixels.shape[:2]
    return float(row), float(column)


def write_tiny_dataset(
    folder: Path, labels: dict[str, np.ndarray], names: dict[str, str] | None = None, shape: Sequence[int] = (8, 8, 8)
) -> dict[str, Case]:
    """Writes an MSD-style data set, one case for each of `labels` (RAS voxels of `shape`); returns its cases."""
    random = np.random.default_rng(0)
    cases, entries = {}, []
    for name, voxels in labels.items():
        image = save(folder / "imagesTr" / f"{name}.nii.gz", random.integers(1, 99, shape, np.int16), np.eye(4))
        label = save(folder / "labelsTr" / f"{name}.nii.gz", voxels, np.eye(4))
        cases[name] = Case(name, (image,), label)
        entries.append({"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"})
    content = {
        "modality": {"0": "MRI"},
        "labels": names or {"0": "background", "1": "organ"},
        "training": entries,
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return cases
