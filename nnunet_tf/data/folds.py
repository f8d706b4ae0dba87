"""Cross-validation folds."""

from collections.abc import Sequence
from dataclasses import dataclass

from sklearn.model_selection import KFold

from data_preprocessing.common.defaults import FOLDS
from data_preprocessing.common.errors import UserError
from data_preprocessing.common.text import counted
from nnunet_tf.choices import FoldName

SPLIT_SEED = 12345  # the same folds as nnU-Net and NVIDIA's


@dataclass(frozen=True)
class Fold:
    """Names of the cases one model learns from and of those it is judged on."""

    training: tuple[str, ...]
    validation: tuple[str, ...]


def split(cases: Sequence[str], fold: FoldName, folds: int = FOLDS) -> Fold:
    """Returns fold `fold` of `folds` over the sorted case names; of fold "all", all cases to learn from and none else.

    Raises UserError when there are fewer cases than folds, or no such fold.
    """
    names = sorted(cases)
    if isinstance(fold, str):
        return Fold(tuple(names), ())
    if len(cases) < folds:
        fewer = f"make fewer folds with --nfolds {len(cases)}, or " if len(cases) > 1 else ""
        raise UserError(
            f"{counted(len(cases), 'case')} cannot be split into {folds} folds; {fewer}train on all with --fold all"
        )
    if fold >= folds:
        raise UserError(f"--fold {fold}: there are {folds} folds, 0 to {folds - 1}, and all; choose one of them")
    splits = list(KFold(folds, shuffle=True, random_state=SPLIT_SEED).split(names))
    training, validation = splits[fold]
    return Fold(tuple(names[index] for index in training), tuple(names[index] for index in validation))
