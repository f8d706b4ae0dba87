"""Outlines of structures in a slice, each piece of border once."""

from collections.abc import Sequence

import numpy as np
from contourpy import contour_generator

BETWEEN = 0.5  # of a voxel that is in and one that is not


def outlines(labels: np.ndarray, number: int, drawn: Sequence[int]) -> list[np.ndarray]:
    """Returns lines of points (column, row) around label `number` of a slice `labels` `(rows, columns)`.

    Where it touches another of the `drawn` label numbers, the border belongs to the one that comes later among them;
    the earlier one's line has NaN there. So dashes of touching structures do not fill each other's gaps.
    """
    mask = labels == number
    if not mask.any() or mask.all() or min(mask.shape) < 2:
        return []
    later = list(drawn)[list(drawn).index(number) + 1 :]
    others = np.isin(labels, later)
    lines = contour_generator(z=mask.astype(float)).lines(BETWEEN)
    return [_without_shared(np.array(line, np.float64), others) for line in lines]


def _without_shared(line: np.ndarray, others: np.ndarray) -> np.ndarray:
    """A line whose points beside `others` are NaN. A point lies between two neighboring voxels."""
    columns, rows = line.T
    beside = np.zeros(len(line), bool)
    for side in (np.floor, np.ceil):
        beside |= others[side(rows).astype(int), side(columns).astype(int)]
    line[beside] = np.nan
    return line
