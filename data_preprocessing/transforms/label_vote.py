"""Decide the label of a voxel from the labels around it and their weights, ties included."""

from itertools import combinations

import numpy as np

CORNERS = 8  # source voxels around a point: two per axis
SIDES = np.array([[corner >> axis & 1 for axis in (2, 1, 0)] for corner in range(CORNERS)], bool)
"""`(corner, axis)`: whether a corner is the second of its two voxels along an axis."""

TIE = 1e-5  # scores this close are equal: they are sums of float32 weights, exact to about 1e-6
PREFERENCE = 1e-6  # decides between voxels equally near; products of weights are exact to about 1e-7


def vote(labels: np.ndarray, weights: np.ndarray, prefers_second: np.ndarray) -> np.ndarray:
    """Returns the label with the largest sum of weights at each of `n` points: `(n,)`, of the type of `labels`.

    `labels` and `weights` `(8, n)` are those of the source voxels around each point, the last axis varying fastest.
    Of labels that tie, that of the nearest voxel wins, which is the one with the largest weight. Of two voxels equally
    near along an axis it is the second where `prefers_second` `(axis, n)`, bool, is true.
    """
    highest, lowest = labels.max(axis=0), labels.min(axis=0)
    upper, lower = (np.einsum("ij,ij->j", labels == label, weights) for label in (highest, lowest))
    winners = np.where(upper > lower, highest, lowest)
    # With more than half of the weight, nothing else can win: almost everywhere, as most boundaries part two labels.
    undecided = np.flatnonzero(np.maximum(upper, lower) <= 0.5 + TIE)
    winners[undecided] = _vote_among_all(labels[:, undecided], weights[:, undecided], prefers_second[:, undecided])
    return winners


def _vote_among_all(labels: np.ndarray, weights: np.ndarray, prefers_second: np.ndarray) -> np.ndarray:
    scores = weights.copy()
    for one, other in combinations(range(CORNERS), 2):
        same = labels[one] == labels[other]
        scores[one] += same * weights[other]
        scores[other] += same * weights[one]
    tied = scores >= scores.max(axis=0) - TIE
    preferred = (SIDES[:, :, np.newaxis] == prefers_second).sum(axis=1)
    nearest = np.where(tied, weights + PREFERENCE * preferred, -1).argmax(axis=0)
    return np.take_along_axis(labels, nearest[np.newaxis], axis=0)[0]


def preferred_sides(z: int | np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Returns `prefers_second` `(axis, n)` for the voxels at these indices.

    All eight combinations are equally frequent in each block of 2x2x2 voxels, so that structures neither move nor
    grow; the side along an axis changes with the indices along both others, so that no flat sheet vanishes.
    """
    return np.stack([y + x, z + x, z + y + x]) % 2 == 1
