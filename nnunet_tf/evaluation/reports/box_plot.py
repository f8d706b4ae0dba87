"""The spread of the scores from case to case, as a picture."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from data_preprocessing.common.figure import new_figure
from data_preprocessing.common.files import atomic_path
from data_preprocessing.common.text import counted
from nnunet_tf.evaluation.summaries.summary import Evaluation

MEASURES = {"dice": "Dice", "nsd": "NSD"}
INCHES_PER_STRUCTURE = 0.32
POINT_SPREAD = 0.18  # of a box's row: cases of one score are told apart
BOX_COLOUR, POINT_COLOUR = "#648fff", "#dc267f"


def save_box_plot(path: Path, result: Evaluation) -> None:
    """Writes a PNG with a box for each structure, of its Dice and, where measured, NSD; every case is a point.

    The box spans the middle half of the cases, the line in it is the median, the whiskers reach the last case within
    1.5 times the box.
    """
    names = [each.name for each in result.classes]
    shown = [measure for measure in MEASURES if any(getattr(score, measure) is not None for score in result.scores)]
    size = (5.5 * max(1, len(shown)) + 1, INCHES_PER_STRUCTURE * len(names) + 1.6)
    figure = new_figure(*size)
    panels = np.atleast_1d(figure.subplots(1, max(1, len(shown)), sharey=True))
    for axes, measure in zip(panels, shown, strict=False):
        columns: dict[str, list[float]] = {name: [] for name in names}
        for score in result.scores:
            value = getattr(score, measure)
            if value is not None:
                columns[score.structure].append(value)
        _draw(axes, list(columns.values()), MEASURES[measure])
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()  # the first structure on top
    figure.suptitle(counted(len(result.cases), "case"))
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)


def _draw(axes: Axes, columns: list[list[float]], title: str) -> None:
    axes.boxplot(
        columns, positions=range(len(columns)), orientation="horizontal", widths=0.6, showfliers=False,
        patch_artist=True, boxprops={"facecolor": BOX_COLOUR, "alpha": 0.4}, medianprops={"color": "black"},
    )  # fmt: skip
    random = np.random.default_rng(0)
    for row, values in enumerate(columns):
        height = row + random.uniform(-POINT_SPREAD, POINT_SPREAD, len(values))
        axes.plot(values, height, ".", color=POINT_COLOUR, markersize=4, alpha=0.7)
    axes.set(xlabel=title, xlim=(-0.02, 1.02))
    axes.grid(axis="x", alpha=0.3)
