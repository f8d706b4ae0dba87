"""Fingerprints of data sets that need no files."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from data_preprocessing.planning.fingerprint import CaseGeometry, ChannelIntensities, Fingerprint

SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"  # beside the checkout
needs_hippocampus = pytest.mark.skipif(
    not (SHARED_DATA / "Task04_Hippocampus").is_dir(), reason=f"needs Task04_Hippocampus in {SHARED_DATA}"
)
INTENSITIES = ChannelIntensities(mean=100.0, std=40.0, low=-20.0, high=200.0)


def make_case(
    name: str = "case",
    shape: Sequence[int] = (20, 30, 40),
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    box_shape: Sequence[int] | None = None,
    box_share: float = 1.0,
) -> CaseGeometry:
    """Returns the geometry of one case, uncropped unless `box_shape` is given; `(z, y, x)`, mm."""
    return CaseGeometry(
        name=name,
        shape=tuple(shape),
        spacing=tuple(spacing),
        box_shape=tuple(box_shape or shape),
        box_share=box_share,
    )


def make_fingerprint(
    cases: Sequence[CaseGeometry],
    channels: Sequence[str] = ("MRI",),
    intensities: Sequence[ChannelIntensities] | None = None,
) -> Fingerprint:
    """Returns a fingerprint of these cases."""
    return Fingerprint(
        dataset="Task91_Tiny",
        channels=tuple(channels),
        cases=tuple(cases),
        intensities=tuple(intensities or [INTENSITIES] * len(channels)),
    )


def same_cases(
    count: int, shape: Sequence[int], spacing: Sequence[float], channels: Sequence[str] = ("MRI",)
) -> Fingerprint:
    """Returns the fingerprint of `count` cases of one shape and spacing (mm)."""
    return make_fingerprint([make_case(f"case_{index}", shape, spacing) for index in range(count)], channels)
