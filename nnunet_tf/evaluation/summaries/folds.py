"""The folds of a cross-validation taken together."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from data_preprocessing.common.errors import UserError
from nnunet_tf.evaluation.metrics.dice import Summary
from nnunet_tf.evaluation.metrics.scores import Score
from nnunet_tf.evaluation.summaries.summary import Evaluation, evaluation
from nnunet_tf.evaluation.summaries.validation_scores import ValidationScores, read_validation
from nnunet_tf.inference.models.folder import VALIDATION_NAME, fold_folders
from nnunet_tf.inference.models.trained_cases import CASES_NAME, added_and_removed, changed, read_trained_cases


class FoldScores(BaseModel):
    """Mean Dice over all folds and its standard deviation from fold to fold; null where it was never scored."""

    mean: float | None
    deviation: float | None
    folds: list[float | None]


class DiceOfFolds(BaseModel):
    """Dice of every fold, by class and over all classes."""

    classes: dict[str, FoldScores]
    all_classes: FoldScores


class CrossValidation(DiceOfFolds):
    """Dice of the best epoch of every fold, and of its last, where all folds know theirs.

    The best epoch was chosen by the cases that it is scored on, so its Dice is a little too high; the last's is not.
    """

    last: DiceOfFolds | None = None


class PooledEvaluation(Evaluation):
    """The validation cases of all folds as one set of cases, each scored by the model that has not seen it."""

    folds: CrossValidation


def over_folds(summaries: Sequence[Summary]) -> CrossValidation:
    """Returns mean and deviation (that of a sample, n - 1) of the folds' Dice, class by class and over all classes."""
    best = [({each.name: each.mean_dice for each in summary.classes}, summary.mean_dice) for summary in summaries]
    last_ones = [summary.last for summary in summaries if isinstance(summary, ValidationScores) and summary.last]
    last = [(scores.classes, scores.mean_dice) for scores in last_ones]
    return CrossValidation(
        **dict(_dice_of_folds(best)), last=_dice_of_folds(last) if len(last) == len(summaries) else None
    )


def _dice_of_folds(folds: Sequence[tuple[dict[str, float | None], float | None]]) -> DiceOfFolds:
    """From each fold's Dice by class and their mean."""
    names = list(folds[0][0])
    classes = {name: _scores([by_class[name] for by_class, _ in folds]) for name in names}
    return DiceOfFolds(classes=classes, all_classes=_scores([mean for _, mean in folds]))


def pool_folds(folder: Path, worst: int) -> PooledEvaluation:
    """Returns the validation scores of all folds below `folder`, such as `results/task04_3d`, as one evaluation.

    `fold_all` is left out: its cases were learnt from. Raises UserError when there is no fold, one was not validated,
    was trained on other cases than the first, has other classes or shares a case with another.
    """
    folders = fold_folders(folder)
    if not folders:
        raise UserError(f"{folder}: holds no fold_0, fold_1, ...; name a folder such as results/task04_3d")
    _refuse_other_cases(folders)
    paths = [each / VALIDATION_NAME for each in folders]
    summaries = [read_validation(each, "train that fold to its end") for each in folders]
    classes = [each.name for each in summaries[0].classes]
    origin: dict[str, Path] = {}
    scores: list[Score] = []
    for path, summary in zip(paths, summaries, strict=True):
        if [each.name for each in summary.classes] != classes:
            raise UserError(f"{path}: has other classes than {paths[0]}; name a folder of folds of one task")
        for case, row in summary.cases.items():
            if case in origin:
                raise UserError(f"{path}: case {case} is in {origin[case]} too; train all folds with the same --nfolds")
            origin[case] = path
            scores.extend(_score(case, name, value, row[name]) for value, name in enumerate(classes, start=1))
    result = evaluation(scores, worst)
    for index, each in enumerate(result.classes):  # a Dice of 0 does not tell one from the other; the folds do
        each.missed = sum(summary.classes[index].missed for summary in summaries)
        each.false_alarms = sum(summary.classes[index].false_alarms for summary in summaries)
    return PooledEvaluation(**dict(result), folds=over_folds(summaries))


def _refuse_other_cases(folders: Sequence[Path]) -> None:
    """Raises UserError where folds were trained on different cases; older versions did not record theirs."""
    remedy = "train that fold again"
    known = [(folder, read_trained_cases(folder, remedy)) for folder in folders if (folder / CASES_NAME).is_file()]
    for folder, cases in known[1:]:
        differing = added_and_removed(known[0][1], cases) or changed(known[0][1], cases)
        if differing:
            raise UserError(
                f"{folder / CASES_NAME}: the fold was trained on other cases than {known[0][0]} "
                f"({'; '.join(differing)}); train all folds on the same shards"
            )


def _score(case: str, structure: str, value: int, dice: float | None) -> Score:
    return Score(case=case, structure=structure, value=value, dice=dice)


def _scores(folds: list[float | None]) -> FoldScores:
    known = [score for score in folds if score is not None]
    return FoldScores(
        mean=float(np.mean(known)) if known else None,
        deviation=float(np.std(known, ddof=1)) if len(known) > 1 else None,
        folds=folds,
    )
