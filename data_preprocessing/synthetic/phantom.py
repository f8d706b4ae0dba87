"""A synthetic data set that behaves like scans: something to run, demonstrate and test the whole pipeline on.

Each case is an organ of irregular shape with a smaller lesion inside it, in a body with look-alike structures, seen
through texture, a smooth bias field and noise. Shapes are defined in millimetres, so one anatomy can be sampled on any
voxel grid: `sample_case` with another orientation shows the same patient.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np

from data_preprocessing.common.files import atomic_path
from data_preprocessing.common.script import LineParser
from data_preprocessing.synthetic.phantom_options import add_options
from data_preprocessing.synthetic.writing import write_cases

ORIENTATIONS = ("RAS", "LPS", "oblique")
OBLIQUE_DEGREES = 30.0
FIELD_OF_VIEW_MM = 84.0
PROGRAM = "python -m data_preprocessing.phantom"
LABELS = ("background", "organ", "lesion")
# Mean intensity of: air, body, look-alike structures, organ, lesion.
MRI_INTENSITIES = (0.0, 210.0, 420.0, 470.0, 330.0)
CT_INTENSITIES = (-1000.0, 20.0, 95.0, 115.0, 60.0)  # Hounsfield units


@dataclass(frozen=True)
class Options:
    """What kind of data set: `ct` for Hounsfield-like values, `dim` 2 for single slices."""

    cases: int = 24
    seed: int = 0
    channels: int = 1
    ct: bool = False
    dim: int = 3
    field_of_view_mm: float = FIELD_OF_VIEW_MM


@dataclass(frozen=True)
class Blob:
    """A star-shaped body around `centre` (mm): an ellipsoid whose radius is wrinkled by `waves` over its directions."""

    centre: np.ndarray
    radii: np.ndarray
    waves: np.ndarray  # (waves, 3) directions times frequency
    phases: np.ndarray
    amplitudes: np.ndarray

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Returns the approximate signed distance in mm of `points` `(..., 3)` to the surface, negative inside."""
        scaled = (points - self.centre) / self.radii
        radius = np.linalg.norm(scaled, axis=-1)
        direction = scaled / np.maximum(radius, 1e-6)[..., np.newaxis]
        wrinkle = np.sin(direction @ self.waves.T + self.phases) @ self.amplitudes
        return (radius - 1 - wrinkle) * self.radii.min()


@dataclass(frozen=True)
class Grid:
    """Voxels of a file: `shape` `(i, j, k)` and the affine to RAS+ mm."""

    shape: tuple[int, int, int]
    affine: np.ndarray

    def points(self) -> np.ndarray:
        """Returns the position of every voxel centre, `(i, j, k, 3)`, in mm."""
        indices = np.stack(np.meshgrid(*map(np.arange, self.shape), indexing="ij"), axis=-1)
        return indices @ self.affine[:3, :3].T + self.affine[:3, 3]


@dataclass(frozen=True)
class Phantom:
    """One case as it is written: `image` `(i, j, k)` or `(i, j, k, channel)`, `label` `(i, j, k)` uint8, the affine."""

    image: np.ndarray
    label: np.ndarray
    affine: np.ndarray


def make_case(index: int, options: Options) -> Phantom:
    """Returns case `index` of a data set: every third is RAS, LPS, oblique; about a third has thick slices."""
    random = np.random.default_rng((options.seed, index))
    thick = index % 3 == 1
    in_plane, through_plane = random.uniform(1.2, 1.6), random.uniform(2.6, 3.2) if thick else random.uniform(1.2, 1.8)
    spacing = (in_plane, in_plane, through_plane)
    extent = (options.field_of_view_mm * random.uniform(0.92, 1.08, 3)).tolist()
    return sample_case(index, options, ORIENTATIONS[index % len(ORIENTATIONS)], spacing, extent)


def sample_case(
    index: int, options: Options, orientation: str, spacing: Sequence[float], extent_mm: Sequence[float] | None = None
) -> Phantom:
    """Returns the anatomy of case `index` on the voxel grid given: `orientation`, `spacing` and extent in mm."""
    extent = [options.field_of_view_mm] * 3 if extent_mm is None else extent_mm
    grid = make_grid(orientation, spacing, extent, options.dim)
    points = grid.points()
    body, decoys, organ, lesion = _anatomy(np.random.default_rng((options.seed, index, 1)), options)
    distances = [body.distance(points), np.min([decoy.distance(points) for decoy in decoys], axis=0)]
    distances += [organ.distance(points), lesion.distance(points)]
    in_organ = distances[2] < 0
    label = np.where(in_organ, 1 + (distances[3] < 0), 0).astype(np.uint8)
    random = np.random.default_rng((options.seed, index, 2))
    channels = [_channel(points, distances, spacing, random, options, number) for number in range(options.channels)]
    image = channels[0] if options.channels == 1 else np.stack(channels, axis=-1)
    return Phantom(image, label, grid.affine)


def make_grid(orientation: str, spacing: Sequence[float], extent_mm: Sequence[float], dim: int = 3) -> Grid:
    """Returns a grid centred on the origin: `RAS`, `LPS`, or `oblique`, turned by 30 degrees about an oblique axis."""
    shape = [max(1, round(length / step)) for length, step in zip(extent_mm, spacing, strict=True)]
    if dim == 2:
        shape[2] = 1
    axes = {"RAS": np.eye(3), "LPS": np.diag([-1.0, -1.0, 1.0]), "oblique": _rotation((1, 2, 3), OBLIQUE_DEGREES)}
    affine = np.eye(4)
    affine[:3, :3] = axes[orientation] * np.asarray(spacing)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid((shape[0], shape[1], shape[2]), affine)


def write_dataset(folder: Path, options: Options) -> None:
    """Writes a data set as `write_cases` does."""

    def write(index: int, image: Path, label: Path) -> None:
        write_case(make_case(index, options), image, label)

    description = {
        "name": "Phantom",
        "description": "Synthetic organ with a lesion, made by data_preprocessing.synthetic.phantom",
        "tensorImageSize": f"{3 if options.channels == 1 else 4}D",
        "modality": {str(number): "CT" if options.ct else "MRI" for number in range(options.channels)},
        "labels": {str(number): name for number, name in enumerate(LABELS)},
    }
    write_cases(folder, [f"phantom_{index:03d}.nii.gz" for index in range(options.cases)], write, description)


def write_case(phantom: Phantom, image_path: Path, label_path: Path) -> None:
    """Writes image and label as NIfTI, with sform and qform set and millimetres as the unit."""
    for path, voxels in ((image_path, phantom.image), (label_path, phantom.label)):
        image = nib.Nifti1Image(voxels, phantom.affine)
        image.set_sform(phantom.affine, code=1)
        image.set_qform(phantom.affine, code=1)
        image.header.set_xyzt_units("mm")
        with atomic_path(path) as temporary:
            nib.save(image, temporary)


def _anatomy(random: np.random.Generator, options: Options) -> tuple[Blob, list[Blob], Blob, Blob]:
    scale = options.field_of_view_mm / FIELD_OF_VIEW_MM
    flat = np.array([1.0, 1.0, 0.0 if options.dim == 2 else 1.0])  # 2D: everything is centred on the one slice
    body = _blob(random, np.zeros(3), np.array([37.0, 33.0, 40.0]) * scale, 0.02)
    organ_radii = random.uniform((16, 13, 15), (20, 17, 20)) * scale
    organ = _blob(random, random.uniform(-6, 6, 3) * flat * scale, organ_radii, 0.07)
    lesion_radii = organ_radii.min() * random.uniform(0.42, 0.6) * random.uniform(0.85, 1.15, 3)
    away = _direction(random) * flat
    lesion = _blob(random, organ.centre + away * (organ_radii - lesion_radii) * 0.6, lesion_radii, 0.06)
    decoys = []
    for _ in range(4):
        radii = random.uniform(3, 6, 3) * scale
        side = _direction(random) * np.where(flat > 0, 1, 0.05)
        away = side / np.linalg.norm(side) * (organ_radii.max() * 1.15 + radii.max())
        decoys.append(_blob(random, organ.centre + away, radii, 0.05))
    return body, decoys, organ, lesion


def _blob(random: np.random.Generator, centre: np.ndarray, radii: np.ndarray, wrinkle: float) -> Blob:
    count = 6
    waves = np.stack([_direction(random) for _ in range(count)]) * random.uniform(1.5, 5, (count, 1))
    return Blob(centre, radii, waves, random.uniform(0, 2 * math.pi, count), random.uniform(0.3, 1, count) * wrinkle)


def _channel(
    points: np.ndarray,
    distances: Sequence[np.ndarray],
    spacing: Sequence[float],
    random: np.random.Generator,
    options: Options,
    number: int,
) -> np.ndarray:
    """One channel: tissues mixed by partial volume, times bias field, plus noise; int16."""
    values = np.array(CT_INTENSITIES if options.ct else MRI_INTENSITIES)
    contrast = abs(values[3] - values[4])
    if number:  # further channels see the same tissues in another order of brightness
        values = np.concatenate([values[:1], np.roll(values[1:], number)])
    signal = np.full(points.shape[:3], values[0])
    softness = float(np.mean(spacing)) / 2
    for value, distance in zip(values[1:], distances, strict=True):
        inside = distances[2] if distance is distances[3] else distance  # the lesion ends where the organ ends
        share = 1 / (1 + np.exp(np.clip(np.maximum(distance, inside) / (softness / 2), -40, 40)))
        textured = value + contrast * 0.25 * _texture(points, random, wavelength_mm=(4, 12))
        signal = signal * (1 - share) + textured * share
    noise = random.normal(0, contrast * 0.18, signal.shape)
    if options.ct:
        return np.rint(signal + noise).astype(np.int16)
    bias = np.exp(0.2 * _texture(points, random, wavelength_mm=(120, 200)))
    magnitude = np.hypot(signal * bias + noise, random.normal(0, contrast * 0.18, signal.shape))  # Rician, as in MRI
    return np.rint(magnitude).astype(np.int16)


def _texture(points: np.ndarray, random: np.random.Generator, wavelength_mm: tuple[float, float]) -> np.ndarray:
    """A smooth random field of unit deviation: a sum of plane waves."""
    count = 10
    total = np.zeros(points.shape[:3])
    for _ in range(count):
        wave = _direction(random) * 2 * math.pi / random.uniform(*wavelength_mm)
        total += np.sin(points @ wave + random.uniform(0, 2 * math.pi))
    return total * math.sqrt(2 / count)


def _direction(random: np.random.Generator) -> np.ndarray:
    vector = random.normal(size=3)
    return vector / np.linalg.norm(vector)


def _rotation(axis: Sequence[float], degrees: float) -> np.ndarray:
    """Rodrigues' formula."""
    x, y, z = np.asarray(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = math.radians(degrees)
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Writes the data set that the command line describes."""
    if options.cases < 2:
        parser.error("--cases must be at least 2: one to train on, one to test")
    if options.channels < 1:
        parser.error("--channels must be at least 1")
    write_dataset(options.output, replace(Options(), **{k: v for k, v in vars(options).items() if k != "output"}))
    print(f"{options.cases} cases in {options.output}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the data set that the command line describes."""
    parser = LineParser(prog=PROGRAM, description=main.__doc__)
    add_options(parser)
    run(parser.parse_args(arguments), parser)
