"""The types of options: each takes what stands on the command line, and says what is wrong with it."""

import argparse
import math
import sys

from data_preprocessing.common.defaults import AXES, known_axes
from nnunet_tf.choices import LARGEST_OVERLAP, FoldName


def pattern(text: str) -> tuple[str, str]:
    """Returns a name and the pattern of its files, such as T1=*_t1.nii.gz, from the command line."""
    name, _, files = text.partition("=")
    if not name or not files:
        raise argparse.ArgumentTypeError(f"{text!r} is not a name and a pattern, such as T1=*_t1.nii.gz")
    return name, files


def whole_number(text: str) -> int:
    """Returns a whole number, 0 or more, from the command line."""
    return _at_least(text, 0)


def fold(text: str) -> FoldName:
    """Returns the number of a fold, or "all", from the command line."""
    return "all" if text == "all" else whole_number(text)


def fold_list(text: str) -> list[FoldName]:
    """Returns folds, such as 0 or 0,1,2, from the command line."""
    return [fold(part) for part in text.split(",")]


def positive_int(text: str) -> int:
    """Returns a whole number above 0 from the command line."""
    return _at_least(text, 1)


def folds(text: str) -> int:
    """Returns a number of folds, 2 or more, from the command line."""
    return _at_least(text, 2)


def positive_float(text: str) -> float:
    """Returns a number above 0 from the command line."""
    return _float_between(text, math.nextafter(0, 1), sys.float_info.max, "a number above 0")


def non_negative_float(text: str) -> float:
    """Returns a number, 0 or more, from the command line."""
    return _float_between(text, 0, sys.float_info.max, "a number from 0 on")


def factor(text: str) -> float:
    """Returns a number above 0, at most 1, from the command line."""
    return _float_between(text, math.nextafter(0, 1), 1, "a number above 0, at most 1")


def width(text: str) -> int:
    """Returns a number of channels, 2 or more, from the command line."""
    return _at_least(text, 2)


def share(text: str) -> float:
    """Returns a number from 0 to below 1 from the command line."""
    return _float_between(text, 0, math.nextafter(1, 0), "a number from 0 to below 1")


def axes(text: str) -> str:
    """Returns axes of a volume to flip along, some of "zyx", from the command line."""
    if not text or set(text) - set(AXES):
        raise argparse.ArgumentTypeError(f"{text!r} is not made of the axes z, y and x, such as zy")
    return text


def axes_or_none(text: str) -> str:
    """Returns axes of a volume, some of "zyx" in that order, or "none", from the command line."""
    try:
        return known_axes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def overlap(text: str) -> float:
    """Returns the share of a window that its neighbour covers, from 0 to 0.95, from the command line."""
    return _float_between(text, 0, LARGEST_OVERLAP, f"a share from 0 to {LARGEST_OVERLAP:g}")


def _at_least(text: str, smallest: int) -> int:
    if not text.isdecimal() or int(text) < smallest:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {smallest} on")
    return int(text)


def _float_between(text: str, low: float, high: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value
