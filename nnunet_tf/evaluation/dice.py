"""Dice of segmentations against labels."""

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel


def overlap_counts(prediction: np.ndarray, truth: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    """Returns, for each label number, `[voxels in both, in the prediction, in the truth]`: int64 `(numbers, 3)`.

    Both arrays hold label numbers and have the same shape.
    """
    rows = []
    for number in numbers:
        predicted, true = prediction == number, truth == number
        rows.append([np.count_nonzero(predicted & true), np.count_nonzero(predicted), np.count_nonzero(true)])
    return np.array(rows, np.int64).reshape(-1, 3)


def dice(counts: np.ndarray) -> np.ndarray:
    """Returns Dice = 2|A and B| / (|A| + |B|) of counts `(..., 3)`: float64 `(...)`.

    A structure absent in both is not scored (NaN), absent in one of them scores 0.
    """
    both, predicted, true = np.moveaxis(counts.astype(np.float64), -1, 0)
    total = predicted + true
    return np.divide(2 * both, total, out=np.full(total.shape, np.nan), where=total > 0)


class ClassSummary(BaseModel):
    """One class over all cases: mean Dice of the scored cases (null when none), and how it went."""

    name: str
    mean_dice: float | None
    scored: int
    missed: int
    false_alarms: int


class Summary(BaseModel):
    """Dice a class, a case and over all. `mean_dice` is the mean of the classes' means."""

    mean_dice: float | None
    classes: list[ClassSummary]
    cases: dict[str, dict[str, float | None]]


def summarize(cases: Sequence[str], classes: Sequence[str], counts: np.ndarray) -> Summary:
    """Returns the summary of `counts` `(cases, classes, 3)`; what is not scored is null."""
    scores = dice(counts)
    summaries = []
    for index, name in enumerate(classes):
        column = scores[:, index]
        scored = column[~np.isnan(column)]
        predicted, true = counts[:, index, 1] > 0, counts[:, index, 2] > 0
        summaries.append(
            ClassSummary(
                name=name,
                mean_dice=float(scored.mean()) if scored.size else None,
                scored=scored.size,
                missed=int(np.count_nonzero(true & ~predicted)),
                false_alarms=int(np.count_nonzero(predicted & ~true)),
            )
        )
    means = [summary.mean_dice for summary in summaries if summary.mean_dice is not None]
    rows = {
        case: {name: None if np.isnan(score) else float(score) for name, score in zip(classes, row, strict=True)}
        for case, row in zip(cases, scores, strict=True)
    }
    return Summary(mean_dice=float(np.mean(means)) if means else None, classes=summaries, cases=rows)
