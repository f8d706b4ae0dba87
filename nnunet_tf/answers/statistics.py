"""Measure every structure of a segmentation: volume, intensities, place, components."""

from collections.abc import Sequence

import numpy as np
from nibabel.orientations import io_orientation
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage

from data_preprocessing.images.nifti_file import NiftiImage, spatial_shape
from data_preprocessing.images.orientation import ras_affine
from data_preprocessing.images.volume_io import Volume
from data_preprocessing.transforms.crop import bounding_box, crop
from nnunet_tf.answers.flags import Flag
from nnunet_tf.evaluation.metrics.surface_distance import surface
from nnunet_tf.evaluation.scoring.structures import Structure
from nnunet_tf.inference.postprocessing.components import connected_components

CUBIC_MM_PER_ML = 1000
PERCENTILES = {"p05": 5, "p25": 25, "median": 50, "p75": 75, "p95": 95}
Box = tuple[slice, ...]


class Intensities(BaseModel):
    """One channel of the scan inside a structure, in the numbers of the file. The deviation is that of all voxels."""

    mean: float
    deviation: float
    minimum: float
    p05: float
    p25: float
    median: float
    p75: float
    p95: float
    maximum: float


class StructureStatistics(BaseModel):
    """One structure of one case. `box` is the first and the last voxel along each axis of the file `(i, j, k)`.

    Volume and centroid are in ml and mm (RAS+); of a picture without spacing they are in pixels, and `volume_ml` is
    null. Of a structure that is not there all but the counts is null.
    """

    structure: str
    value: int
    voxels: int
    volume_ml: float | None = None
    centroid_mm: tuple[float, float, float] | None = None
    centroid_pixels: tuple[float, float, float] | None = None
    box: tuple[tuple[int, int], tuple[int, int], tuple[int, int]] | None = None
    components: int = 0
    largest_component: float | None = Field(default=None, description="share of the structure's voxels")
    touches_edge: bool = Field(default=False, description="of the scan: it may be cut off")
    border_entropy: float | None = Field(default=None, description="mean over the surface's voxels, nats")
    border_spread: float | None = Field(default=None, description="likewise, over flips and folds")
    intensities: dict[str, Intensities] = Field(default_factory=dict, description="by channel")


class CaseStatistics(BaseModel):
    """All structures of one case. `unit` is that of places; `spacing` is along the file's axes `(i, j, k)`."""

    model_config = ConfigDict(ser_json_inf_nan="strings")

    case: str
    unit: str
    spacing: tuple[float, float, float]
    shape: tuple[int, int, int]
    structures: list[StructureStatistics]
    flags: list[Flag] = Field(default_factory=list)


def measure_case(
    name: str,
    labels: np.ndarray,
    volume: Volume,
    structures: Sequence[Structure],
    channels: Sequence[str],
    in_pixels: bool = False,
    entropy: np.ndarray | None = None,
    spread: np.ndarray | None = None,
) -> CaseStatistics:
    """Returns a row for each of `structures`, its numbers being those `predicted`, in `labels` `(z, y, x)`, unsigned.

    `volume` is the scan on the same grid; `in_pixels` says that it has no spacing. `entropy` and `spread` `(z, y, x)`
    are averaged over each structure's surface.
    """
    source = volume.source
    grid = _Grid(source, in_pixels)
    boxes = ndimage.find_objects(labels)
    counts = _component_counts(labels, structures)
    rows = []
    for structure in structures:
        found = [boxes[number - 1] for number in structure.predicted if number <= len(boxes)]
        box = _union([each for each in found if each is not None])
        if box is None:
            rows.append(StructureStatistics(structure=structure.name, value=structure.value, voxels=0))
            continue
        inside = labels[box]
        mask = (
            inside == structure.predicted[0] if len(structure.predicted) == 1 else np.isin(inside, structure.predicted)
        )
        components, largest = counts.get(structure.value) or _components_of(mask)
        row = grid.row(structure, mask, box, components, largest)
        row.intensities = {
            channel: _intensities(volume.array[..., index][box][mask]) for index, channel in enumerate(channels)
        }
        for field, values in (("border_entropy", entropy), ("border_spread", spread)):
            if values is not None:
                axes = [axis for axis, size in enumerate(labels.shape) if size > 1] or [0]
                setattr(row, field, float(values[box][surface(mask, axes)].mean(dtype=np.float64)))
        rows.append(row)
    sizes = np.linalg.norm(source.affine[:3, :3], axis=0)
    i, j, k = spatial_shape(source)
    spacing = (1.0, 1.0, 1.0) if in_pixels else (float(sizes[0]), float(sizes[1]), float(sizes[2]))
    unit = "pixels" if in_pixels else "mm"
    return CaseStatistics(case=name, unit=unit, spacing=spacing, shape=(i, j, k), structures=rows)


class _Grid:
    """From boxes and masks on the RAS+ grid `(z, y, x)` to places in the file and in space."""

    def __init__(self, source: NiftiImage, in_pixels: bool) -> None:
        self.shape = spatial_shape(source)
        self.orientation = io_orientation(source.affine)
        self.affine = ras_affine(source.affine, self.shape)
        self.in_pixels = in_pixels
        self.to_file = np.linalg.inv(source.affine) @ self.affine
        self.voxel_ml = abs(float(np.linalg.det(source.affine[:3, :3]))) / CUBIC_MM_PER_ML

    def row(
        self, structure: Structure, mask: np.ndarray, box: Box, components: int, largest: int
    ) -> StructureStatistics:
        """Returns what is known without the scan's intensities."""
        along = [np.count_nonzero(mask, axis=others) for others in ((1, 2), (0, 2), (0, 1))]
        voxels = int(along[0].sum())
        center = [
            side.start + float((counts * np.arange(len(counts))).sum() / voxels)
            for side, counts in zip(box, along, strict=True)
        ]
        homogeneous = np.array([*reversed(center), 1.0])
        file_box = self._file_box(box)
        sides = zip(file_box, self.shape, strict=True)
        x, y, z = ((self.to_file if self.in_pixels else self.affine) @ homogeneous)[:3].round(6).tolist()
        return StructureStatistics(
            structure=structure.name,
            value=structure.value,
            voxels=voxels,
            volume_ml=None if self.in_pixels else voxels * self.voxel_ml,
            centroid_mm=None if self.in_pixels else (x, y, z),
            centroid_pixels=(x, y, z) if self.in_pixels else None,
            box=file_box,
            components=components,
            largest_component=largest / voxels,
            touches_edge=any(size > 1 and (first == 0 or last == size - 1) for (first, last), size in sides),
        )

    def _file_box(self, box: Box) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        sides = []
        for size, (axis, direction) in zip(self.shape, self.orientation, strict=True):
            side = box[2 - int(axis)]
            first, last = side.start, side.stop - 1
            sides.append((first, last) if direction > 0 else (size - 1 - last, size - 1 - first))
        i, j, k = sides
        return i, j, k


def _component_counts(labels: np.ndarray, structures: Sequence[Structure]) -> dict[int, tuple[int, int]]:
    """How many components each structure of one number has, and the largest one's voxels, by its value: in one pass."""
    single = [each for each in structures if len(each.predicted) == 1]
    if not single or not labels.any():
        return {}
    found = connected_components(crop(labels, bounding_box(labels)))
    order = np.argsort(found.values, kind="stable")
    values, sizes = found.values[order], found.sizes[order]
    counts = {}
    for each in single:
        first, last = np.searchsorted(values, each.predicted[0]), np.searchsorted(values, each.predicted[0], "right")
        if last > first:
            counts[each.value] = int(last - first), int(sizes[first:last].max())
    return counts


def _components_of(mask: np.ndarray) -> tuple[int, int]:
    sizes = connected_components(mask).sizes
    return len(sizes) - 1, int(sizes.max())


def _intensities(values: np.ndarray) -> Intensities:
    """Of the voxels of one structure and channel, float32; they are reordered in place."""
    mean = float(values.mean(dtype=np.float64))
    deviation = float(values.std(dtype=np.float64))
    low, high = float(values.min()), float(values.max())
    places = np.percentile(values, list(PERCENTILES.values()), overwrite_input=True)
    shares = {name: float(value) for name, value in zip(PERCENTILES, places, strict=True)}
    return Intensities(mean=mean, deviation=deviation, minimum=low, maximum=high, **shares)


def _union(boxes: Sequence[Box]) -> Box | None:
    if not boxes:
        return None
    return tuple(slice(min(a.start for a in sides), max(a.stop for a in sides)) for sides in zip(*boxes, strict=True))
