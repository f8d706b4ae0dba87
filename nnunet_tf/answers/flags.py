"""Flag the cases that a person should look at, by what differs from the model's training cases."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import BaseModel, Field

from data_preprocessing.common.files import read_model, write_model
from data_preprocessing.planning.plan import Plan
from nnunet_tf.inference.models.folder import RANGES_NAME, is_fold

if TYPE_CHECKING:
    from nnunet_tf.answers.statistics import CaseStatistics, StructureStatistics

MEASURE_AGAIN = "measure it again with nnunet-tf statistics --save-ranges, or remove the file"

VOLUME_MARGIN = 1.25  # times the largest training volume, or the smallest divided by it
COMPONENTS_MARGIN = 2  # times the most of any training case
SPACING_RATIO = 3.0  # of the scan's to the plan's, where training's range is not known
HIGHEST_ENTROPY = 0.55  # nats, mean over the surface; a border between two equally likely classes has ln 2 = 0.69
HIGHEST_SPREAD = 0.2  # of a probability

Number = TypeVar("Number", int, float)
Code = Literal["empty", "volume", "components", "entropy", "spread", "intensity", "spacing"]


class Flag(BaseModel):
    """One reason to look at a case; `structure` is empty where it concerns the whole scan."""

    code: Code
    structure: str = ""
    text: str


class StructureRange(BaseModel):
    """What training cases have of one structure: lowest and highest, over the cases where it is there."""

    cases: int
    volume_ml: tuple[float, float] | None = None
    voxels: tuple[int, int] | None = None
    components: tuple[int, int] | None = None
    mean_intensity: dict[str, tuple[float, float]] = Field(default_factory=dict, description="by channel")


class Ranges(BaseModel):
    """`ranges.json` of a model: what its training cases have. `spacing` is lowest and highest of (i, j, k), sorted."""

    format: Literal[1] = 1
    cases: int
    spacing: tuple[tuple[float, float], tuple[float, float], tuple[float, float]] | None = None
    structures: dict[str, StructureRange]


def ranges_of(cases: "Sequence[CaseStatistics]") -> Ranges:
    """Returns the ranges over the statistics of training cases."""
    by_name: dict[str, list[StructureStatistics]] = {}
    for case in cases:
        for row in case.structures:
            by_name.setdefault(row.structure, []).append(row)
    structures = {}
    for name, rows in by_name.items():
        there = [row for row in rows if row.voxels]
        if not there:
            continue
        volumes = [row.volume_ml for row in there if row.volume_ml is not None]
        channels = there[0].intensities
        structures[name] = StructureRange(
            cases=len(there),
            volume_ml=extremes(volumes) if len(volumes) == len(there) else None,
            voxels=(min(row.voxels for row in there), max(row.voxels for row in there)),
            components=(min(row.components for row in there), max(row.components for row in there)),
            mean_intensity={
                channel: extremes([row.intensities[channel].mean for row in there if channel in row.intensities])
                for channel in channels
            },
        )
    spacings = [case.spacing for case in cases if case.unit == "mm"]
    return Ranges(cases=len(cases), spacing=spacing_range(spacings) if spacings else None, structures=structures)


def spacing_range(
    spacings: Sequence[tuple[float, float, float]],
) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
    """Returns lowest and highest of the smallest, middle and largest spacing (mm) of each case."""
    first, second, third = (extremes(side) for side in zip(*map(sorted, spacings), strict=True))
    return first, second, third


def write_ranges(folder: Path, ranges: Ranges) -> None:
    """Writes the ranges into a model's folder, atomically."""
    write_model(folder / RANGES_NAME, ranges)


def read_ranges(folder: Path) -> Ranges | None:
    """Returns the ranges kept for a model, None where there are none; of a fold those in the folder of folds first."""
    for home in (folder.parent, folder) if is_fold(folder) else (folder,):
        if (home / RANGES_NAME).is_file():
            return read_model(home / RANGES_NAME, Ranges, MEASURE_AGAIN)
    return None


def find_flags(case: "CaseStatistics", plan: Plan | None, ranges: Ranges | None) -> list[Flag]:
    """Returns the reasons to look at a case. What is not known is not compared.

    Without `ranges`, spacing is compared with the target spacing of `plan`, and intensities of CT with its percentiles.
    """
    flags = []
    if not any(row.voxels for row in case.structures):
        flags.append(Flag(code="empty", text="nothing was found"))
    flags += _spacing_flags(case, plan, ranges)
    for row in case.structures:
        known = ranges.structures.get(row.structure) if ranges else None
        flags += _structure_flags(row, known)
        flags += _intensity_flags(row, plan, known)
    return flags


def _structure_flags(row: "StructureStatistics", known: StructureRange | None) -> list[Flag]:
    def flag(code: Code, text: str) -> Flag:
        return Flag(code=code, structure=row.structure, text=f"{row.structure}: {text}")

    if not row.voxels:
        return []
    flags = []
    if known and known.volume_ml and row.volume_ml is not None:
        flags += [flag("volume", text) for text in _beyond(row.volume_ml, known.volume_ml, "ml")]
    elif known and known.voxels and row.volume_ml is None:
        flags += [flag("volume", text) for text in _beyond(row.voxels, known.voxels, "pixels")]
    if known and known.components and row.components > COMPONENTS_MARGIN * known.components[1]:
        flags.append(flag("components", f"{row.components} components, training has at most {known.components[1]}"))
    if row.border_entropy is not None and row.border_entropy > HIGHEST_ENTROPY:
        flags.append(flag("entropy", f"unsure at its border (entropy {row.border_entropy:.2f})"))
    if row.border_spread is not None and row.border_spread > HIGHEST_SPREAD:
        flags.append(flag("spread", f"flips or folds disagree at its border (spread {row.border_spread:.2f})"))
    return flags


def _beyond(value: float, known: tuple[float, float], unit: str) -> list[str]:
    low, high = known
    if low / VOLUME_MARGIN <= value <= high * VOLUME_MARGIN:
        return []
    return [f"{value:.4g} {unit}, training has {low:.4g} to {high:.4g}"]


def _intensity_flags(row: "StructureStatistics", plan: Plan | None, known: StructureRange | None) -> list[Flag]:
    flags = []
    for index, (channel, found) in enumerate(row.intensities.items()):
        means = known.mean_intensity.get(channel) if known else None
        if means:
            margin = (means[1] - means[0]) / 4
            low, high = means[0] - margin, means[1] + margin
        elif plan and index < len(plan.normalization) and plan.normalization[index].name == "ct":
            how = plan.normalization[index]
            low = -math.inf if how.low is None else how.low
            high = math.inf if how.high is None else how.high
        else:
            continue
        if not low <= found.mean <= high:
            text = f"{row.structure}: mean of {channel} {found.mean:.4g}, training has {low:.4g} to {high:.4g}"
            flags.append(Flag(code="intensity", structure=row.structure, text=text))
    return flags


def _spacing_flags(case: "CaseStatistics", plan: Plan | None, ranges: Ranges | None) -> list[Flag]:
    if case.unit != "mm":
        return []
    spacing = sorted(case.spacing)
    shown = " x ".join(f"{size:.3g}" for size in case.spacing)
    if ranges and ranges.spacing:
        outside = any(
            not low / VOLUME_MARGIN <= size <= high * VOLUME_MARGIN
            for size, (low, high) in zip(spacing, ranges.spacing, strict=True)
        )
        told = " x ".join(f"{low:.3g} to {high:.3g}" for low, high in ranges.spacing)
    elif plan and plan.dim == 3:
        ratios = [size / target for size, target in zip(spacing, sorted(plan.spacing), strict=True)]
        outside = any(ratio > SPACING_RATIO or ratio < 1 / SPACING_RATIO for ratio in ratios)
        told = " x ".join(f"{size:.3g}" for size in plan.spacing)
    else:
        return []
    return [Flag(code="spacing", text=f"voxels of {shown} mm, training has {told} mm")] if outside else []


def extremes(values: Sequence[Number]) -> tuple[Number, Number]:
    """Returns the lowest and the highest of some values."""
    return min(values), max(values)
