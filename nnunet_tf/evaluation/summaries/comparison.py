"""Compare two folders of predictions case by case: is the difference more than chance?"""

from collections.abc import Iterable, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.stats import wilcoxon

from nnunet_tf.evaluation.metrics.scores import Score

RESAMPLES = 10_000
SEED = 0
PERCENTILES = (2.5, 97.5)
MEAN = "mean"  # over the structures of a case


class Comparison(BaseModel):
    """Dice of one structure, or the mean of each case, here and in the other folder, over the cases scored in both.

    `difference` is here - there; `interval` its 95% interval by bootstrap over the cases, percentile method; `p_value`
    that of Wilcoxon's signed-rank test, two-sided. They are null for fewer than two cases.
    """

    model_config = ConfigDict(ser_json_inf_nan="strings")

    structure: str
    cases: int
    here: float
    there: float
    difference: float
    interval: tuple[float, float] | None
    p_value: float | None
    better: int
    worse: int


def compare(here: Sequence[Score], there: Sequence[Score]) -> list[Comparison]:
    """Returns the comparison of each structure, and of the mean over structures as the last."""
    first, second = _by_structure(here), _by_structure(there)
    rows = []
    paired: dict[str, list[tuple[float, float]]] = {}
    for structure, dice in first.items():
        other = second.get(structure, {})
        both = [(dice[case], other[case]) for case in dice if case in other]
        for case in dice:
            if case in other:
                paired.setdefault(case, []).append((dice[case], other[case]))
        if both:
            rows.append(_comparison(structure, both))
    means = [tuple(np.mean(pairs, axis=0)) for pairs in paired.values()]
    if len(rows) > 1:
        rows.append(_comparison(MEAN, means))
    return rows


def _by_structure(scores: Iterable[Score]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for score in scores:
        if score.dice is not None:
            found.setdefault(score.structure, {})[score.case] = score.dice
    return found


def _comparison(structure: str, pairs: Sequence[tuple[float, ...]]) -> Comparison:
    here, there = np.array(pairs, np.float64).T
    differences = here - there
    interval = p_value = None
    if len(differences) > 1:
        draws = np.random.default_rng(SEED).integers(0, len(differences), (RESAMPLES, len(differences)))
        low, high = np.percentile(differences[draws].mean(axis=1), PERCENTILES)
        interval = float(low), float(high)
        p_value = float(wilcoxon(differences).pvalue) if differences.any() else 1.0
    return Comparison(
        structure=structure,
        cases=len(differences),
        here=float(here.mean()),
        there=float(there.mean()),
        difference=float(differences.mean()),
        interval=interval,
        p_value=p_value,
        better=int(np.count_nonzero(differences > 0)),
        worse=int(np.count_nonzero(differences < 0)),
    )
