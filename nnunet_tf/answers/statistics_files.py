"""Write the statistics of cases, and gather them into one table."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import RootModel

from data_preprocessing.common.files import atomic_path, read_model, write_model
from nnunet_tf.answers.statistics import CaseStatistics, Intensities, StructureStatistics

STATISTICS = "statistics"  # the folder of the cases' files, and the name of the table
REMEDY = "remove it and run again"


class StatisticsTable(RootModel[list[CaseStatistics]]):
    """`statistics.json`: all cases."""


def case_file(folder: Path, name: str) -> Path:
    """Returns where the statistics of one case go."""
    return folder / STATISTICS / f"{name}.json"


def write_case(folder: Path, case: CaseStatistics) -> None:
    """Writes the statistics of one case."""
    write_model(case_file(folder, case.case), case)


def read_cases(folder: Path, names: Iterable[str] | None = None) -> list[CaseStatistics]:
    """Returns the statistics kept in `folder`, of the cases `names` or of all, by name."""
    if names is None:
        paths = sorted(each for each in (folder / STATISTICS).rglob("*.json") if not each.name.startswith("."))
    else:
        paths = [path for name in sorted(names) if (path := case_file(folder, name)).is_file()]
    return [read_model(path, CaseStatistics, REMEDY) for path in paths]


def write_tables(folder: Path, cases: Sequence[CaseStatistics]) -> list[Path]:
    """Writes `statistics.csv` and `statistics.json` and returns their paths."""
    paths = [folder / f"{STATISTICS}.csv", folder / f"{STATISTICS}.json"]
    write_csv(paths[0], cases)
    write_model(paths[1], StatisticsTable(list(cases)))
    return paths


def write_csv(path: Path, cases: Sequence[CaseStatistics]) -> None:
    """Writes one row per case and structure. Columns without any value are left out, but for those of every table.

    The unit stands in the heading: `volume_ml` and `centroid_x_mm`, of pictures `area_pixels` and
    `centroid_x_pixels`. Boxes are voxels of the file, the first and the last along its axes i, j and k.
    """
    rows = [_row(case, structure) for case in cases for structure in case.structures]
    columns = list(dict.fromkeys(name for row in rows for name, value in row.items() if value is not None))
    ordered = [name for name in _order(rows) if name in columns]
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=ordered or ["case", "structure"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def _order(rows: Sequence[dict[str, object]]) -> list[str]:
    """The columns of all rows, each after those before it in its own row."""
    longest = max(rows, key=len, default={})
    return list(dict.fromkeys([*longest, *(name for row in rows for name in row)]))


def _row(case: CaseStatistics, structure: StructureStatistics) -> dict[str, object]:
    in_pixels = case.unit != "mm"
    row: dict[str, object] = {
        "case": case.case,
        "structure": structure.structure,
        "label": structure.value,
        "flags": "; ".join(flag.text for flag in case.flags if flag.structure in ("", structure.structure)) or None,
        "volume_ml": _number(structure.volume_ml),
        "area_pixels" if in_pixels else "voxels": structure.voxels,
    }
    if not structure.voxels and not in_pixels:
        row["volume_ml"] = "0"
    for unit, center in (("mm", structure.centroid_mm), ("pixels", structure.centroid_pixels)):
        for axis, place in zip("xyz", center or (), strict=False):
            row[f"centroid_{axis}_{unit}"] = _number(place)
    for axis, (first, last) in zip("ijk", structure.box or (), strict=False):
        row[f"first_{axis}"], row[f"last_{axis}"] = first, last
    row["components"] = structure.components
    row["largest_component"] = _number(structure.largest_component)
    row["touches_edge"] = int(structure.touches_edge)
    row["border_entropy"], row["border_spread"] = _number(structure.border_entropy), _number(structure.border_spread)
    for channel, intensities in structure.intensities.items():
        prefix = f"{channel}_" if len(structure.intensities) > 1 else "intensity_"
        row |= {f"{prefix}{name}": _number(getattr(intensities, name)) for name in Intensities.model_fields}
    return row


def _number(value: float | None) -> str | None:
    """Seven digits: as many as float32 has."""
    return None if value is None else f"{value:.7g}"
