"""Cross-validation folds."""

from collections.abc import Sequence
from dataclasses import dataclass

from sklearn.model_selection import KFold

from data_preprocessing.defaults import FOLDS
from data_preprocessing.errors import UserError

SPLIT_SEED = 12345  # the same folds as nnU-Net and NVIDIA's


@dataclass(frozen=True)
class Fold:
    """Names of the cases one model learns from and of those it is judged on."""

    training: tuple[str, ...]
    validation: tuple[str, ...]


def split(cases: Sequence[str], fold: int, folds: int = FOLDS) -> Fold:
    """Returns fold `fold` of `folds` over the sorted case names.

    Raises UserError when there are fewer cases than folds, or no such fold.
    """
    if len(cases) < folds:
        raise UserError(f"{len(cases)} cases cannot be split into {folds} folds; add cases, or use fewer with --nfolds")
    if fold >= folds:
        raise UserError(f"--fold {fold}: there are {folds} folds, 0 to {folds - 1}; choose one of them")
    names = sorted(cases)
    splits = list(KFold(folds, shuffle=True, random_state=SPLIT_SEED).split(names))
    training, validation = splits[fold]
    return Fold(tuple(names[index] for index in training), tuple(names[index] for index in validation))
