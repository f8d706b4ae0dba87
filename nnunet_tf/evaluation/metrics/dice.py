"""Dice of segmentations against labels."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from pydantic import BaseModel

from data_preprocessing.planning.plan import Plan
from nnunet_tf.runtime.precision import Precision

BLOCK = 2**18  # voxels counted at once: NumPy makes eight bytes of each
LARGEST_NUMBER = 1023  # past it, as in some atlases, the histogram would be larger than many a volume


def overlap_counts(prediction: np.ndarray, truth: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    """Returns, for each label number, `[voxels in both, in the prediction, in the truth]`: int64 `(numbers, 3)`.

    Both arrays hold unsigned label numbers and have the same shape. Takes one pass, however many
    numbers there are, unless labels exceed `LARGEST_NUMBER`.
    """
    labels = max(int(prediction.max(initial=0)), int(truth.max(initial=0)), *numbers, 0) + 1
    if labels > LARGEST_NUMBER:
        return mask_counts((prediction == number for number in numbers), (truth == number for number in numbers))
    histogram = joint_histogram(prediction, truth, labels, labels)
    return np.array([histogram_counts(histogram, (number,), (number,)) for number in numbers], np.int64).reshape(-1, 3)


def joint_histogram(prediction: np.ndarray, truth: np.ndarray, predicted: int, true: int) -> np.ndarray:
    """Returns how many voxels have each pair of labels: int64 `(predicted, true)`.

    `prediction` holds numbers below `predicted` and `truth`, of the same shape, numbers below `true`.
    """
    rows, columns = prediction.reshape(-1), truth.reshape(-1)
    histogram = np.zeros(predicted * true, np.int64)
    step = max(BLOCK, histogram.size)  # so that adding up does not take longer than counting
    for start in range(0, rows.size, step):
        pairs = rows[start : start + step].astype(np.intp)
        pairs *= true
        pairs += columns[start : start + step]
        histogram += np.bincount(pairs, minlength=histogram.size)
    return histogram.reshape(predicted, true)


def histogram_counts(histogram: np.ndarray, predicted: Sequence[int], true: Sequence[int]) -> tuple[int, int, int]:
    """Returns voxels in both, in the prediction and in the truth of one structure, from a `joint_histogram`.

    The structure is the union of the labels `predicted` in the prediction, of the labels `true` in the truth.
    """
    rows = histogram[list(predicted)]
    return int(rows[:, list(true)].sum()), int(rows.sum()), int(histogram[:, list(true)].sum())


def mask_counts(predicted: Iterable[np.ndarray], true: Iterable[np.ndarray]) -> np.ndarray:
    """Returns the counts of `overlap_counts` for each of a number of structures, which may overlap.

    int64 `(structures, 3)`. Both give one mask a structure, of the same shape: arrays `(structures, ...)`, or masks
    made one at a time.
    """
    rows = [
        [np.count_nonzero(mask & true_mask), np.count_nonzero(mask), np.count_nonzero(true_mask)]
        for mask, true_mask in zip(predicted, true, strict=True)
    ]
    return np.array(rows, np.int64).reshape(-1, 3)


def predicted_masks(logits: np.ndarray, plan: Plan) -> Iterator[np.ndarray]:
    """Yields where each of `plan.scored` is predicted: bool `(D, H, W)` of logits `(D, H, W, plan.outputs)`.

    A class where its logit is the highest, a region where its own is over 0 (sigmoid over 0.5); regions may overlap.
    """
    if plan.regions:
        return (logits[..., index] > 0 for index in range(len(plan.regions)))
    return true_masks(logits.argmax(axis=-1), plan)


def true_masks(label: np.ndarray, plan: Plan) -> Iterator[np.ndarray]:
    """Yields where each of `plan.scored` is: bool `(D, H, W)` of class indices `(D, H, W)`.

    A region is the union of its classes.
    """
    if plan.regions:
        return (np.isin(label, region.classes) for region in plan.regions)
    return (label == index for index in range(1, len(plan.classes)))


def prediction_counts(logits: np.ndarray, truth: np.ndarray, plan: Plan) -> np.ndarray:
    """Returns the counts of `overlap_counts` of each of `plan.scored`: int64 `(plan.scored, 3)`.

    `logits` `(D, H, W, plan.outputs)` and the class indices `truth` `(D, H, W)` are on the network's grid.
    """
    if not plan.regions:
        return overlap_counts(logits.argmax(axis=-1), truth, range(1, len(plan.classes)))
    return mask_counts(predicted_masks(logits, plan), true_masks(truth, plan))


def dice(counts: np.ndarray, absent: float = np.nan) -> np.ndarray:
    """Returns Dice = 2|A and B| / (|A| + |B|) of counts `(..., 3)`: float64 `(...)`.

    A structure absent in both scores `absent` (NaN: it is not scored), absent in one of them 0.
    """
    both, predicted, true = np.moveaxis(counts.astype(np.float64), -1, 0)
    total = predicted + true
    return np.divide(2 * both, total, out=np.full(total.shape, absent), where=total > 0)


class ClassSummary(BaseModel):
    """One class over all cases: mean Dice of the scored cases (null when none), and how it went."""

    name: str
    mean_dice: float | None
    scored: int
    missed: int
    false_alarms: int


class Summary(BaseModel):
    """Dice a class, a case and over all. `mean_dice` is the mean of the classes' means.

    `precision` is that of the network which segmented, where this program knows it.
    """

    mean_dice: float | None
    classes: Sequence[ClassSummary]
    cases: dict[str, dict[str, float | None]]
    precision: Precision | None = None


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
