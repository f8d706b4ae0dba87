"""Deciding on validation cases which postprocessing a model gets."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from data_preprocessing.common.errors import UserError
from data_preprocessing.jobs.backend import Backend, Processes, run_small_jobs
from data_preprocessing.jobs.process_pool import Job, Outcome
from nnunet_tf.evaluation.metrics.dice import dice
from nnunet_tf.evaluation.scoring.case import load_pair
from nnunet_tf.evaluation.scoring.folder import estimate_scoring, pair_files
from nnunet_tf.inference.postprocessing.components import connected_components, slabs
from nnunet_tf.inference.postprocessing.settings import Postprocessing


def find_postprocessing(
    predictions: Path,
    labels: Path,
    names: Iterable[int],
    backend: Backend = Processes(),
    trust_grid: bool = False,
) -> Postprocessing:
    """Returns what raises the Dice of a folder of predictions, by the rule of `decide`.

    `names` are the numbers that are scored, such as the keys of a data set's class names; 0 is passed over. The
    predictions must not be postprocessed yet, and be of cases that their models did not learn from. Where files are
    large, `backend` reads them. `trust_grid` is that of `load_pair`. Raises UserError when one has no label of its
    name, or lies on another grid.
    """
    numbers = sorted(set(names) - {0})
    pairs = pair_files(predictions, labels)
    jobs = [
        Job(pair.name, _count_files, (pair.prediction, pair.truth, numbers, trust_grid), estimate_scoring(pair))
        for pair in pairs
    ]
    files = [file for pair in pairs for file in (pair.prediction, pair.truth)]
    outcomes = sorted(run_small_jobs(jobs, files, backend), key=lambda outcome: outcome.name)
    return decide(np.array([_result(outcome) for outcome in outcomes]), numbers)


def decide(counts: np.ndarray, numbers: Sequence[int]) -> Postprocessing:
    """Returns which components to keep, from `counts` `(cases, 2, 2, numbers, 3)`: `count_alternatives` of every case.

    The largest of all foreground where the mean Dice rises and that of no class falls; then, class by class, the
    largest of the class where its Dice rises. A class's Dice is its mean over the cases where it is scored; without
    any it neither rises nor falls, and does not count in the mean. Source: nnU-Net, Nature Methods 2021, "Empirical
    parameters".
    """
    means = _mean(dice(counts))  # (2, 2, numbers)
    before, foreground = means[0, 0], means[1, 0]
    keeps_foreground = bool(_mean(foreground) > _mean(before) and not (foreground < before).any())
    chosen, largest = means[int(keeps_foreground)]
    rises = largest > chosen
    return Postprocessing(
        keep_largest_foreground=keeps_foreground,
        keep_largest=tuple(number for number, rising in zip(numbers, rises, strict=True) if rising),
        cases=len(counts),
        dice_before=_known(_mean(before)),
        dice_after=_known(_mean(np.where(rises, largest, chosen))),
    )


def count_alternatives(prediction: np.ndarray, truth: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    """Returns `overlap_counts` of a case under every alternative: int64 `(2, 2, numbers, 3)`.

    The first axis is whether only the largest component of all foreground is kept, the second whether then only the
    largest of each number is. `prediction` and `truth`, unsigned `(z, y, x)`, hold label numbers. They are gone through
    once: what is kept is always made of whole components of the prediction.
    """
    in_largest = _largest_foreground(prediction)
    classes = connected_components(prediction)
    ids, count = classes.ids, len(classes.sizes)
    others = 1 + max(numbers, default=0)  # stands for all numbers past the last one that is scored
    length = others + 1
    hits, true, in_foreground = np.zeros(count, np.int64), np.zeros(length, np.int64), np.zeros(count, bool)
    for planes in slabs(prediction.shape, count):
        hits += np.bincount(ids[planes][prediction[planes] == truth[planes]], minlength=count)
        true += np.bincount(np.minimum(truth[planes].ravel().astype(np.intp), others), minlength=length)
        in_foreground[ids[planes]] = in_largest[planes]
    everything = classes.sizes > 0

    def kept(components: np.ndarray) -> np.ndarray:
        values = np.minimum(classes.values[components].astype(np.intp), others)
        both, predicted = (  # as weights they are float64: exact up to 2^53 voxels
            np.bincount(values, each[components], minlength=length).astype(np.int64) for each in (hits, classes.sizes)
        )
        return np.stack([both, predicted, true], axis=-1)[list(numbers)]

    return np.array([[kept(among), kept(classes.largest(among))] for among in (everything, in_foreground)])


def _largest_foreground(prediction: np.ndarray) -> np.ndarray:
    """A mask, so that the numbers of these components need not be kept beside those of the classes'."""
    foreground = connected_components(prediction != 0)
    kept, mask = foreground.largest(), np.empty(prediction.shape, bool)
    for planes in slabs(prediction.shape):
        mask[planes] = kept[foreground.ids[planes]]
    return mask


def _count_files(prediction: Path, truth: Path, numbers: Sequence[int], trust_grid: bool) -> np.ndarray:
    pair = load_pair(prediction, truth, trust_grid)
    return count_alternatives(pair.prediction, pair.truth, numbers)


def _result(outcome: Outcome[np.ndarray]) -> np.ndarray:
    """One case left out could change what is decided, so that none may fail."""
    if outcome.result is None:
        raise (UserError if outcome.user_error else RuntimeError)(outcome.failure)
    return outcome.result


def _mean(scores: np.ndarray) -> np.ndarray:
    """The mean over the first axis of what is not NaN, NaN where nothing is left."""
    known = ~np.isnan(scores)
    count = known.sum(axis=0)
    total = np.where(known, scores, 0).sum(axis=0)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)


def _known(score: np.ndarray) -> float | None:
    return None if np.isnan(score) else float(score)
