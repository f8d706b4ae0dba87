"""The flips of test-time augmentation."""

import itertools
from collections.abc import Iterable

Flip = tuple[int, ...]
"""Spatial axes of the network's input that are turned round, 0 the first."""


def flip_subsets(axes: Iterable[int]) -> list[Flip]:
    """Returns all subsets of `axes`, the empty one first.

    >>> flip_subsets((0, 2))
    [(), (0,), (2,), (0, 2)]
    """
    axes = tuple(axes)
    return [subset for count in range(len(axes) + 1) for subset in itertools.combinations(axes, count)]
