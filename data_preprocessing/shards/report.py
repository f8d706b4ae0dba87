"""What preprocessing made, for people: a table of the numbers and a sheet of pictures."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.table import Table
from rich.text import Text

from data_preprocessing.common.figure import new_figure
from data_preprocessing.common.files import atomic_path, read_model
from data_preprocessing.planning.plan import Plan
from data_preprocessing.shards.format import CaseRecord, image_path, label_path, record_path
from data_preprocessing.shards.pipeline import Summary

MOST_PICTURES = 100
COLUMNS = 10


def summary_table(summary: Summary, plan: Plan) -> Table:
    """Returns the table that ends a run: cases, shapes before and after, voxels of each class, size on disk."""
    table = Table(title=Text(f"{plan.dataset}, {plan.dim}D"), show_header=False)
    size = f"{summary.bytes / 2**20:,.0f} MiB in {summary.folder}"
    table.add_column(overflow="fold")
    table.add_column(overflow="fold", min_width=len(size))  # so that `print_whole` breaks no path
    table.add_row("cases", str(len(summary.records)))
    table.add_row("median shape before", _median_shape([record.shape for record in summary.records]))
    table.add_row("median shape after", _median_shape([record.shard_shape for record in summary.records]))
    spacing = " x ".join(f"{mm:g}" for mm in plan.spacing)
    table.add_row("spacing after", f"{spacing} mm{' in plane' if plan.dim == 2 else ''}")
    voxels = np.sum([record.class_voxels for record in summary.records], axis=0)
    for name, count in zip(plan.classes, voxels.tolist(), strict=True):
        table.add_row(Text(f"voxels of {name}"), f"{count:,}")
    empty = sum(not any(record.class_voxels[1:]) for record in summary.records)
    table.add_row("cases without foreground", str(empty))
    table.add_row("size on disk", Text(size))
    return table


def save_sheet(path: Path, folder: Path, cases: Sequence[str]) -> int:
    """Writes a PNG with one slice a case, the one with most foreground, its label outlined; returns how many.

    Past `MOST_PICTURES` cases, that many evenly spread over them. Pictures are shown as they are stored. Raises
    UserError where a case has no shard.
    """
    chosen = [cases[index * len(cases) // MOST_PICTURES] for index in range(min(MOST_PICTURES, len(cases)))]
    if len(cases) <= MOST_PICTURES:
        chosen = list(cases)
    columns = min(COLUMNS, len(chosen))
    rows = math.ceil(len(chosen) / columns)
    figure = new_figure(1.6 * columns, 1.75 * rows)
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.set_axis_off()
    for axes, case in zip(figure.axes, chosen, strict=False):
        image = np.load(image_path(folder, case), mmap_mode="r", allow_pickle=False)
        label = np.load(label_path(folder, case), mmap_mode="r", allow_pickle=False)[..., 0]
        index = int(np.argmax([np.count_nonzero(plane) for plane in label])) if label.any() else len(label) // 2
        axes.imshow(np.asarray(image[index, ..., 0], np.float32), cmap="gray", origin="lower")
        shown = np.asarray(label[index])
        for number in np.unique(shown[shown > 0]):
            if min(shown.shape) > 1 and (shown != number).any():
                axes.contour(shown == number, levels=[0.5], colors=[f"C{(number - 1) % 10}"], linewidths=0.8)
        if read_model(record_path(folder, case), CaseRecord, "run preprocess.py again").of_picture:
            axes.invert_yaxis()
        axes.set_title(case, fontsize=5)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
    return len(chosen)


def _median_shape(shapes: Sequence[Sequence[int]]) -> str:
    return " x ".join(f"{size:g}" for size in np.median(shapes, axis=0))
