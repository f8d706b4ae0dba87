"""A picture of one segmented case: three planes, of a single slice that one, structures in colour."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from scipy import ndimage

from data_preprocessing.common.figure import new_figure
from data_preprocessing.common.files import atomic_path

COLOURS = ("#ffb000", "#dc267f", "#648fff", "#4cd964", "#fe6100", "#b388ff", "#00c2c7", "#f5f55a")
"""Told apart with colour blindness too (the first five: IBM's palette); classes past the eighth start over."""

FILL_OPACITY = 0.35
LEGEND_COLUMNS = 8
PLANES = ("axial", "coronal", "sagittal")  # across the axes z, y, x
PLANES_OF_PAGES = ("page", "row", "column")
SIZES = {3: (12, 4.9), 1: (8, 8.4)}  # inches, by the number of planes


def save_overlay(
    path: Path,
    image: np.ndarray,
    spacing: Sequence[float],
    prediction: np.ndarray,
    names: dict[int, str],
    title: str,
    truth: np.ndarray | None = None,
    as_stored: bool = False,
) -> None:
    """Writes a PNG of `image` `(z, y, x)`, RAS+, with `prediction` filled in colour and `truth` dashed.

    `spacing` in mm `(z, y, x)`; `names` maps the label numbers to draw to class names. Each plane cuts the largest
    structure, where most of all is seen; the legend names what is. Patients' right is on the left, as radiologists
    look at it; `as_stored` shows rows from top to bottom and columns from left to right instead, as pictures have them.
    """
    shown = prediction if truth is None else truth
    indices = best_slices(shown if shown.any() else prediction, list(names))
    colours = {number: COLOURS[place % len(COLOURS)] for place, number in enumerate(names)}
    planes = [axis for axis in range(3) if min(np.delete(image.shape, axis)) > 1] or [0]
    figure = new_figure(*SIZES[len(planes)], facecolor="black")
    low, high = np.percentile(image, (0.5, 99.5))
    for axis, axes in zip(planes, figure.subplots(1, len(planes), squeeze=False).flat, strict=True):
        rest = [other for other in range(3) if other != axis]
        axes.imshow(
            _plane(image, axis, indices[axis]), cmap="gray", vmin=low, vmax=max(high, low + 1e-6), origin="lower",
            aspect=spacing[rest[0]] / spacing[rest[1]],
        )  # fmt: skip
        _draw_labels(axes, _plane(prediction, axis, indices[axis]), colours)
        if truth is not None:
            _draw_outlines(axes, _plane(truth, axis, indices[axis]), colours)
        if as_stored:
            axes.invert_yaxis()
        elif axis != 2:
            axes.invert_xaxis()  # x grows towards the patient's left
        names_of_planes = PLANES_OF_PAGES if as_stored else PLANES
        axes.set_title(f"{names_of_planes[axis]} {indices[axis] + 1}/{image.shape[axis]}", color="white", fontsize=10)
        axes.set_axis_off()
    places = [(axis, indices[axis]) for axis in planes]
    seen = _numbers_on_planes([prediction] if truth is None else [prediction, truth], places)
    handles = [
        Line2D([], [], color=colours[number], linewidth=6, label=names[number]) for number in names if number in seen
    ]
    if truth is not None:
        handles.append(Line2D([], [], color="white", linestyle="--", label="dashed: truth"))
    columns = max(1, min(len(handles), LEGEND_COLUMNS))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, labelcolor="white", frameon=False)
    figure.suptitle(title, color="white")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)


def best_slices(labels: np.ndarray, numbers: Sequence[int]) -> tuple[int, int, int]:
    """Returns the index along each axis of `labels` `(z, y, x)` that shows most of all structures, small ones equally.

    Every one of them cuts the largest structure. Without any structure, the middle.
    """
    shares = [np.zeros(size) for size in labels.shape]
    largest, voxels = [np.ones(size, bool) for size in labels.shape], 0
    boxes = ndimage.find_objects(labels)
    for number in numbers:
        box = boxes[number - 1] if number <= len(boxes) else None
        if box is None:
            continue
        mask = labels[box] == number
        areas = [np.count_nonzero(mask, axis=others) for others in ((1, 2), (0, 2), (0, 1))]
        total = int(areas[0].sum())
        for axis, side in enumerate(box):
            shares[axis][side] += areas[axis] / total
        if total > voxels:
            voxels, largest = total, [np.zeros(size, bool) for size in labels.shape]
            for axis, side in enumerate(box):
                largest[axis][side] = areas[axis] > 0
    if not voxels:
        z, y, x = (size // 2 for size in labels.shape)
        return z, y, x
    z, y, x = (int(np.argmax(np.where(cut, share, -1))) for cut, share in zip(largest, shares, strict=True))
    return z, y, x


def _numbers_on_planes(volumes: Sequence[np.ndarray], places: Sequence[tuple[int, int]]) -> set[int]:
    planes = (_plane(volume, axis, index) for volume in volumes for axis, index in places)
    return set().union(*(np.unique(plane).tolist() for plane in planes))


def _plane(volume: np.ndarray, axis: int, index: int) -> np.ndarray:
    return np.take(volume, index, axis=axis)


def _draw_labels(axes: Axes, labels: np.ndarray, colours: dict[int, str]) -> None:
    filled = np.zeros((*labels.shape, 4))
    for number, colour in colours.items():
        filled[labels == number] = (*to_rgb(colour), FILL_OPACITY)
    axes.imshow(filled, origin="lower", aspect=axes.get_aspect(), interpolation="nearest")
    for number, colour in colours.items():
        _outline(axes, labels == number, colour, "solid")


def _draw_outlines(axes: Axes, labels: np.ndarray, colours: dict[int, str]) -> None:
    for number in colours:
        _outline(axes, labels == number, "white", "dashed")


def _outline(axes: Axes, mask: np.ndarray, colour: str, style: str) -> None:
    if mask.any() and not mask.all() and min(mask.shape) > 1:
        axes.contour(mask.astype(float), levels=[0.5], colors=[colour], linewidths=1.2, linestyles=[style])
