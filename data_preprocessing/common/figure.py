"""Figures whose texts are shown as they are."""

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float, facecolor: str = "white") -> "Figure":
    """Returns an empty figure of `width` x `height` inches.

    Class, case and folder names in it are plain text: matplotlib would read what stands between two `$` as a formula.
    """
    import matplotlib
    from matplotlib.figure import Figure

    warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # of a script that the font lacks: a box
    matplotlib.rcParams.update({"text.parse_math": False, "text.usetex": False})
    return Figure(figsize=(width, height), layout="constrained", facecolor=facecolor)
