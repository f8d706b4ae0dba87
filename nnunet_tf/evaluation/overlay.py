"""A picture of one segmented case: three planes, structures in colour."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from data_preprocessing.files import atomic_path

COLOURS = ("#ffb000", "#dc267f", "#648fff", "#4cd964", "#fe6100", "#b388ff", "#00c2c7", "#f5f55a")
"""Told apart with colour blindness too (the first five: IBM's palette); classes past the eighth start over."""

FILL_OPACITY = 0.35
PLANES = ("axial", "coronal", "sagittal")  # across the axes z, y, x


def save_overlay(
    path: Path,
    image: np.ndarray,
    spacing: Sequence[float],
    prediction: np.ndarray,
    names: dict[int, str],
    title: str,
    truth: np.ndarray | None = None,
) -> None:
    """Writes a PNG of `image` `(z, y, x)`, RAS+, with `prediction` filled in colour and `truth` dashed.

    `spacing` in mm `(z, y, x)`; `names` maps the label numbers to draw to class names. Each plane cuts where the
    structures are seen best. Patients' right is on the left, as radiologists look at it.
    """
    shown = prediction if truth is None else truth
    indices = best_slices(shown if shown.any() else prediction, list(names))
    colours = {number: COLOURS[place % len(COLOURS)] for place, number in enumerate(names)}
    figure = Figure(figsize=(12, 4.9), layout="constrained", facecolor="black")
    low, high = np.percentile(image, (0.5, 99.5))
    for axis, axes in enumerate(np.atleast_1d(figure.subplots(1, 3))):
        rest = [other for other in range(3) if other != axis]
        axes.imshow(
            _plane(image, axis, indices[axis]), cmap="gray", vmin=low, vmax=max(high, low + 1e-6), origin="lower",
            aspect=spacing[rest[0]] / spacing[rest[1]],
        )  # fmt: skip
        _draw_labels(axes, _plane(prediction, axis, indices[axis]), colours)
        if truth is not None:
            _draw_outlines(axes, _plane(truth, axis, indices[axis]), colours)
        if axis != 2:
            axes.invert_xaxis()  # x grows towards the patient's left
        axes.set_title(f"{PLANES[axis]} {indices[axis] + 1}/{image.shape[axis]}", color="white", fontsize=10)
        axes.set_axis_off()
    handles = [Line2D([], [], color=colours[number], linewidth=6, label=names[number]) for number in names]
    if truth is not None:
        handles.append(Line2D([], [], color="white", linestyle="--", label="dashed: truth"))
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(len(handles), 8), labelcolor="white", frameon=False
    )
    figure.suptitle(title, color="white")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)


def best_slices(labels: np.ndarray, numbers: Sequence[int]) -> tuple[int, int, int]:
    """Returns the index along each axis of `labels` `(z, y, x)` that shows most of all structures, small ones equally.

    Without any structure, the middle.
    """
    indices = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        areas = [(labels == number).sum(axis=others) for number in numbers]
        shares = [area / area.sum() for area in areas if area.any()]
        indices.append(int(np.argmax(np.sum(shares, axis=0))) if shares else labels.shape[axis] // 2)
    return indices[0], indices[1], indices[2]


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
