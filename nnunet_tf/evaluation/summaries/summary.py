"""Many scores in few numbers."""

from collections.abc import Iterable, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from nnunet_tf.evaluation.metrics.dice import ClassSummary, Summary
from nnunet_tf.evaluation.metrics.scores import Score
from nnunet_tf.evaluation.summaries.comparison import Comparison


class Statistics(BaseModel):
    """Of one measure over the cases where it is counted. Any of them is null where it does not exist.

    The deviation is that of a sample (n - 1). With infinite distances among them the mean is infinite.
    """

    model_config = ConfigDict(ser_json_inf_nan="strings")

    count: int
    mean: float | None
    deviation: float | None
    median: float | None


class WorstCase(BaseModel):
    """A case and the Dice that it is remembered for."""

    case: str
    dice: float


class StructureSummary(ClassSummary):
    """One structure over all cases; what was not measured is null. `worst`: the cases of lowest Dice, lowest first."""

    model_config = ConfigDict(ser_json_inf_nan="strings")

    dice: Statistics
    nsd: Statistics | None = None
    hd95_mm: Statistics | None = None
    assd_mm: Statistics | None = None
    difference_ml: Statistics | None = None
    precision: Statistics | None = None
    recall: Statistics | None = None
    worst: list[WorstCase]


class Failure(BaseModel):
    """Why a case could not be scored, and whether the user can mend it."""

    reason: str
    user_error: bool


class Evaluation(Summary):
    """All scores and what they come to.

    `mean_dice` is the mean of the classes' means; `all_classes` and `worst` are about the mean Dice of each case.
    `failed` tells which cases could not be scored, `unpredicted` which labels have no prediction. `against` compares
    with another folder of predictions.
    """

    model_config = ConfigDict(ser_json_inf_nan="strings")

    classes: Sequence[StructureSummary]
    all_classes: Statistics
    worst: list[WorstCase]
    scores: list[Score]
    tolerance_mm: float | None = None
    failed: dict[str, Failure] = Field(default_factory=dict)
    unpredicted: list[str] = Field(default_factory=list)
    against: list[Comparison] = Field(default_factory=list)


def statistics(values: Iterable[float | None]) -> Statistics:
    """Returns mean, deviation and median of what is not None."""
    known = np.array([value for value in values if value is not None], np.float64)
    finite = bool(np.isfinite(known).all())
    return Statistics(
        count=known.size,
        mean=float(known.mean()) if known.size else None,
        deviation=float(known.std(ddof=1)) if known.size > 1 and finite else None,
        median=float(np.median(known)) if known.size else None,
    )


def evaluation(scores: Sequence[Score], worst: int, tolerance_mm: float | None = None) -> Evaluation:
    """Returns the summary of the scores of all cases, the `worst` cases by name in it.

    Every case has a row for every structure. `tolerance_mm` is that of NSD, if it was measured.
    """
    rows: dict[str, list[Score]] = {}
    by_case: dict[str, dict[str, float | None]] = {}
    for score in scores:
        rows.setdefault(score.structure, []).append(score)
        by_case.setdefault(score.case, {})[score.structure] = score.dice
    classes = [_structure_summary(name, column, worst) for name, column in rows.items()]
    means = [each.mean_dice for each in classes if each.mean_dice is not None]
    case_means = {case: statistics(row.values()).mean for case, row in by_case.items()}
    return Evaluation(
        mean_dice=float(np.mean(means)) if means else None,
        classes=classes,
        cases=by_case,
        all_classes=statistics(case_means.values()),
        worst=_lowest(case_means.items(), worst),
        scores=list(scores),
        tolerance_mm=tolerance_mm,
    )


def _structure_summary(name: str, rows: Sequence[Score], worst: int) -> StructureSummary:
    dice = statistics(row.dice for row in rows)
    outcomes = [row.outcome for row in rows]
    measured = {
        measure: over
        for measure in ("nsd", "hd95_mm", "assd_mm", "difference_ml", "precision", "recall")
        if (over := statistics(getattr(row, measure) for row in rows)).count
    }
    return StructureSummary(
        name=name,
        mean_dice=dice.mean,
        scored=dice.count,
        missed=outcomes.count("missed"),
        false_alarms=outcomes.count("false alarm"),
        dice=dice,
        worst=_lowest(((row.case, row.dice) for row in rows), worst),
        **measured,
    )


def _lowest(scores: Iterable[tuple[str, float | None]], count: int) -> list[WorstCase]:
    known = [WorstCase(case=case, dice=score) for case, score in scores if score is not None]
    return sorted(known, key=lambda each: (each.dice, each.case))[:count]
