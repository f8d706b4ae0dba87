"""From scores to decisions, probabilities and their uncertainty, voxel by voxel; arrays are `(outputs, ...)`, float32.

A decision is the index of a class; with regions it is their number from 1 on, and 0 for the background.
"""

from collections.abc import Iterable

import numpy as np

from data_preprocessing.transforms.resample import likeliest_class

SMALLEST = np.finfo(np.float32).tiny  # instead of 0, whose logarithm is infinite


def likeliest(scores: Iterable[np.ndarray]) -> np.ndarray:
    """Returns the class whose score is highest, uint16; the first of equals.

    `scores` may come class by class, so that they need not be in memory together.
    """
    return likeliest_class(enumerate(scores), np.uint16)


def last_region(scores: Iterable[np.ndarray], threshold: float) -> np.ndarray:
    """Returns the number of the last region whose score is over `threshold`, 0 where none is; uint16.

    `threshold` is 0 for logits, 0.5 for probabilities. Source: nnU-Net v2, documentation/region_based_training.md.
    """
    winner = np.zeros((), np.uint16)
    for number, score in enumerate(scores, start=1):
        winner = np.maximum(winner, np.multiply(score > threshold, number, dtype=np.uint16))
    return winner


def decided_outputs(decisions: np.ndarray, shares: np.ndarray, regions: bool) -> np.ndarray:
    """Returns which output a decision rests on: the class; of regions the one written, the likeliest where none is."""
    if not regions:
        return decisions
    return np.where(decisions > 0, decisions - 1, shares.argmax(axis=0))


def probabilities(logits: np.ndarray, regions: bool) -> np.ndarray:
    """Returns the softmax of `logits` over the classes, for `regions` the sigmoid of each; in place."""
    if regions:
        np.tanh(np.multiply(logits, 0.5, out=logits), out=logits)  # the exponential would overflow
        return np.divide(np.add(logits, 1, out=logits), 2, out=logits)
    logits -= logits.max(axis=0)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=0)
    return logits


def entropy(shares: np.ndarray, regions: bool) -> np.ndarray:
    """Returns the entropy in nats of probabilities: between 0 and the logarithm of the number of classes.

    For `regions`, which answer separate questions, the sum over them.
    """
    terms = shares * np.log(np.maximum(shares, SMALLEST))
    if regions:
        terms += (1 - shares) * np.log(np.maximum(1 - shares, SMALLEST))
    return np.abs(terms.sum(axis=0))
