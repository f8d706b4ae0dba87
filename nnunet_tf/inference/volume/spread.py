"""How far the probability of what was predicted spreads over everything that a prediction averages."""

from collections.abc import Sequence

import numpy as np

from nnunet_tf.inference.volume.resampled_planes import RestoredPlanes


def total_variance(
    members: Sequence[RestoredPlanes], plane: int, shares: Sequence[np.ndarray], decided: np.ndarray
) -> np.ndarray:
    """Returns the variance of the probability of the output in `decided` `(rows, W)` over all members' passes.

    Every member counts alike, as in the mean, and so does each of its passes (networks times flips). By the law of
    total variance it is the mean of the variances within the members plus the variance of the members' means. After
    its logits, a member's scores hold the variance of each output over its passes and, where it has several and is
    not alone, the mean; `shares` `(outputs, rows, W)` are each member's probabilities, the mean where it has one pass.
    """
    means = np.zeros((len(members), *decided.shape), np.float32)
    within = np.zeros(decided.shape, np.float32)
    for output in map(int, np.unique(decided)):
        there = decided == output
        for mean, member, own in zip(means, members, shares, strict=True):
            within[there] += member.score(plane, len(own) + output)[there]
            averaged = member.channels > 2 * len(own)
            mean[there] = (member.score(plane, 2 * len(own) + output) if averaged else own[output])[there]
    return means.var(axis=0) + within / len(members)
