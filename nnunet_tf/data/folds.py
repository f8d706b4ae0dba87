"""Cross-validation folds."""

from collections.abc import Sequence
from dataclasses import dataclass

from sklearn.model_selection import KFold

from data_preprocessing.errors import UserError

FOLDS = 5
SPLIT_SEED = 12345  # the same folds as nnU-Net and NVIDIA's


@dataclass(frozen=True)
class Fold:
    """Names of the cases one model learns from and of those it is judged on."""

    training: tuple[str, ...]
    validation: tuple[str, ...]


def split(cases: Sequence[str], fold: int) -> Fold:
    """Returns fold `fold` of five over the sorted case names; raises UserError when there are fewer than five cases."""
    if len(cases) < FOLDS:
        raise UserError(f"{len(cases)} cases cannot be split into {FOLDS} folds; add cases to the data set")
    names = sorted(cases)
    splits = list(KFold(FOLDS, shuffle=True, random_state=SPLIT_SEED).split(names))
    training, validation = splits[fold]
    return Fold(tuple(names[index] for index in training), tuple(names[index] for index in validation))
