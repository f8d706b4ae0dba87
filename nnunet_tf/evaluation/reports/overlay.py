"""A picture of one segmented case: three planes, of a single slice that one, structures in color."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from data_preprocessing.common.colors import distinct_colors
from data_preprocessing.common.figure import new_figure
from data_preprocessing.common.files import atomic_path
from nnunet_tf.evaluation.reports.best_slices import best_slices
from nnunet_tf.evaluation.reports.display import Look, display_window, scale_length
from nnunet_tf.evaluation.reports.outlines import outlines

FILL_OPACITY = 0.35
LEGEND_COLUMNS = 8
TITLE_CHARACTERS_PER_INCH = 11  # of its size
LEGEND_ROW, TITLE = 0.22, 0.8  # inches
PLANES = ("axial", "coronal", "sagittal")  # across the axes z, y, x
PLANES_OF_PAGES = ("page", "row", "column")
MARKS = (("R", "L", "A", "P"), ("R", "L", "S", "I"), ("P", "A", "S", "I"))  # left, right, top, bottom of each plane
WIDEST, HIGHEST = 13.0, 9.0  # inches of the planes together
NARROWEST, LOWEST = 6.0, 3.0
DASHES = (0, (3, 2))
ON_BRIGHT = (withStroke(linewidth=2, foreground="black"),)  # for white marks on a bright scan


def save_overlay(
    path: Path,
    image: np.ndarray,
    spacing: Sequence[float],
    prediction: np.ndarray,
    names: dict[int, str],
    title: str,
    truth: np.ndarray | None = None,
    look: Look = Look(),
) -> None:
    """Writes a PNG of `image` `(z, y, x)`, RAS+, with `prediction` filled in color and `truth` as dashed outlines.

    `spacing` in mm `(z, y, x)`; `names` maps the label numbers to draw to class names. Each plane shows most of all
    structures; the legend names what is seen. All planes have one scale. Patients' right is on the left, as
    radiologists look at it; a picture `as_stored` shows rows from top to bottom and columns from left to right.
    """
    shown = truth if truth is not None and truth.any() else prediction
    indices = best_slices(shown, list(names))
    colors = dict(zip(names, distinct_colors(len(names)), strict=True))
    planes = [axis for axis in range(3) if min(np.delete(image.shape, axis)) > 1] or [0]
    places = [(axis, indices[axis]) for axis in planes]
    seen = _numbers_on_planes([prediction] if truth is None else [prediction, truth], places)
    handles = [Line2D([], [], color=color, linewidth=6, label=names[n]) for n, color in colors.items() if n in seen]
    if truth is not None:
        handles.append(Line2D([], [], color="white", linestyle="--", label="dashed: truth"))
    figure, panels = _panels(image.shape, spacing, planes, len(handles))
    window = display_window(image, shown, look.is_ct)
    for (axis, index), axes in zip(places, panels, strict=True):
        _draw_image(axes, _plane(image, axis, index), window, _aspect(spacing, axis))
        _draw_labels(axes, _plane(prediction, axis, index), colors, outlined=truth is None)
        if truth is not None:
            _draw_outlines(axes, _plane(truth, axis, index), colors, DASHES)
        _orient(axes, axis, look)
        _draw_scale(axes, spacing[_rest(axis)[1]], look.unit)
        names_of_planes = PLANES_OF_PAGES if look.as_stored else PLANES
        axes.set_title(f"{names_of_planes[axis]} {index + 1}/{image.shape[axis]}", color="white", fontsize=10)
        axes.set_axis_off()
    columns = max(1, min(len(handles), LEGEND_COLUMNS))
    figure.legend(
        handles=handles, loc="outside lower center", ncols=columns, labelcolor="white", frameon=False, fontsize=8
    )
    # Not wrapped by matplotlib, which would read what stands between two `$` as a formula to measure it.
    lines = textwrap.wrap(title, max(20, int(figure.get_figwidth() * TITLE_CHARACTERS_PER_INCH)))
    figure.suptitle("\n".join(lines), color="white")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)


def _panels(
    shape: tuple[int, ...], spacing: Sequence[float], planes: Sequence[int], entries: int
) -> tuple[Figure, list[Axes]]:
    """A figure with room for the planes at one scale, side by side, and for a legend of so many `entries`."""
    sizes = [[shape[side] * spacing[side] for side in _rest(axis)] for axis in planes]
    widths, height = [width for _, width in sizes], max(height for height, _ in sizes)
    inches = min(WIDEST / sum(widths), HIGHEST / height)
    extra = TITLE + LEGEND_ROW * -(-entries // LEGEND_COLUMNS)
    figure = new_figure(max(sum(widths) * inches, NARROWEST), max(height * inches, LOWEST) + extra, facecolor="black")
    panels = figure.subplots(1, len(planes), squeeze=False, width_ratios=widths)
    return figure, list(panels.flat)


def _rest(axis: int) -> tuple[int, int]:
    """The axes of a plane: of its rows, of its columns."""
    first, second = (other for other in range(3) if other != axis)
    return first, second


def _aspect(spacing: Sequence[float], axis: int) -> float:
    rows, columns = _rest(axis)
    return spacing[rows] / spacing[columns]


def _numbers_on_planes(volumes: Sequence[np.ndarray], places: Sequence[tuple[int, int]]) -> set[int]:
    planes = (_plane(volume, axis, index) for volume in volumes for axis, index in places)
    return set().union(*(np.unique(plane).tolist() for plane in planes))


def _plane(volume: np.ndarray, axis: int, index: int) -> np.ndarray:
    return np.take(volume, index, axis=axis)


def _draw_image(axes: Axes, plane: np.ndarray, window: tuple[float, float], aspect: float) -> None:
    low, high = window
    axes.imshow(plane, cmap="gray", vmin=low, vmax=high, origin="lower", aspect=aspect)


def _draw_labels(axes: Axes, labels: np.ndarray, colors: dict[int, str], outlined: bool) -> None:
    filled = np.zeros((*labels.shape, 4))
    for number, color in colors.items():
        filled[labels == number] = (*to_rgb(color), FILL_OPACITY)
    axes.imshow(filled, origin="lower", aspect=axes.get_aspect(), interpolation="nearest")
    if outlined:
        _draw_outlines(axes, labels, colors, "solid")


def _draw_outlines(axes: Axes, labels: np.ndarray, colors: dict[int, str], style: object) -> None:
    rows, columns = labels.shape
    for number, color in colors.items():
        for line in outlines(labels, number, list(colors)):
            axes.plot(*line.T, color=color, linewidth=1.2, linestyle=style)
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(-0.5, rows - 0.5))


def _orient(axes: Axes, axis: int, look: Look) -> None:
    """Turns a plane the way it is looked at, and marks the patient's sides."""
    if look.as_stored:
        axes.invert_yaxis()
        return
    if axis != 2:
        axes.invert_xaxis()  # x grows towards the patient's left
    places = ((0.01, 0.5, "left", "center"), (0.99, 0.5, "right", "center"),
              (0.5, 0.99, "center", "top"), (0.5, 0.01, "center", "bottom"))  # fmt: skip
    for mark, (x, y, horizontal, vertical) in zip(MARKS[axis], places, strict=True):
        axes.text(
            x,
            y,
            mark,
            transform=axes.transAxes,
            color="white",
            fontsize=9,
            ha=horizontal,
            va=vertical,
            path_effects=ON_BRIGHT,
        )


def _draw_scale(axes: Axes, size: float, unit: str) -> None:
    """A bar of a round length, in the lower right corner; `size` is that of a column."""
    left, right = axes.get_xlim()
    length = scale_length(abs(right - left) * size)
    share = length / size / abs(right - left)
    ends = (0.97 - share, 0.97)
    axes.plot(
        ends,
        (0.04, 0.04),
        color="white",
        linewidth=2,
        transform=axes.transAxes,
        solid_capstyle="butt",
        path_effects=ON_BRIGHT,
    )
    axes.text(
        sum(ends) / 2, 0.05, f"{length:g} {unit}", transform=axes.transAxes, color="white", fontsize=8, ha="center",
        va="bottom", path_effects=ON_BRIGHT,
    )  # fmt: skip
