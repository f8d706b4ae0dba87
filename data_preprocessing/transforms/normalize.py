"""Intensity normalisation of one channel."""

import math
from collections.abc import Iterable

import numpy as np
from pydantic import PositiveFloat, model_validator

from data_preprocessing.common.task import NormalizationName, Strict

SMALLEST_DEVIATION = 1e-8  # a constant channel becomes 0, not infinite


class Normalization(Strict):
    """How one channel is normalised; the numbers are set for `ct` only, in Hounsfield units."""

    name: NormalizationName
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    std: PositiveFloat | None = None

    @model_validator(mode="after")
    def _complete(self) -> "Normalization":
        numbers = (self.low, self.high, self.mean, self.std)
        if (self.name == "ct") != (None not in numbers):
            raise ValueError("low, high, mean and std belong to ct, and ct needs them all")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must be under high ({self.high:g})")
        return self


def normalize(channel: np.ndarray, normalization: Normalization, mask: np.ndarray | None = None) -> np.ndarray:
    """Returns one normalised channel, float32, of the same shape `(D, H, W)`.

    With a boolean `mask` of that shape, z-score takes mean and deviation inside it and leaves 0 outside. Source:
    nnU-Net (Nature Methods 2021, "Intensity normalization"); `rescale_0_1` and `rgb` (/255) after nnU-Net v2.
    """
    channel = np.asarray(channel, np.float32)
    match normalization.name:
        case "ct":
            clipped = np.clip(channel, normalization.low, normalization.high)
            clipped -= np.float32(normalization.mean)
            clipped /= np.float32(normalization.std)
            return clipped
        case "z_score":
            return _z_score(channel, mask)
        case "rescale_0_1":
            low, high = float(channel.min()), float(channel.max())
            return (channel - np.float32(low)) / np.float32(max(high - low, SMALLEST_DEVIATION))
        case "rgb":
            return channel / np.float32(255)
        case "none":
            return channel


def _z_score(channel: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    if mask is not None and not mask.any():
        return np.zeros_like(channel)
    # Plane by plane: sums in float64 of a large volume never take a float64 copy of it.
    planes = [plane if mask is None else plane[inside] for plane, inside in _planes(channel, mask)]
    count = sum(plane.size for plane in planes)
    mean = sum(float(plane.sum(dtype=np.float64)) for plane in planes) / count
    squares = sum(float(np.square(plane - mean, dtype=np.float64).sum()) for plane in planes)
    deviation = max(math.sqrt(squares / count), SMALLEST_DEVIATION)
    normalized = channel - np.float32(mean)
    normalized /= np.float32(deviation)
    if mask is not None:
        normalized[~mask] = 0
    return normalized


def _planes(channel: np.ndarray, mask: np.ndarray | None) -> Iterable[tuple[np.ndarray, np.ndarray | None]]:
    return zip(channel, mask if mask is not None else [None] * len(channel), strict=True)
