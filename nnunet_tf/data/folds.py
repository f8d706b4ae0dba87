"""Cross-validation folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import KFold

from data_preprocessing.common.defaults import FOLDS
from data_preprocessing.common.errors import UserError
from data_preprocessing.common.text import counted
from data_preprocessing.dataset.splits import StatedFold
from nnunet_tf.choices import FoldName

SPLIT_SEED = 12345  # the same folds as nnU-Net and NVIDIA's


@dataclass(frozen=True)
class Fold:
    """Names of the cases one model learns from and of those it is judged on."""

    training: tuple[str, ...]
    validation: tuple[str, ...]


def split(
    cases: Sequence[str],
    fold: FoldName,
    folds: int = FOLDS,
    groups: Mapping[str, str] | None = None,
    stated: Sequence[StatedFold] = (),
) -> Fold:
    """Returns fold `fold` of `folds` over the sorted case names; of fold "all", all cases to learn from and none else.

    Where there are `stated` folds, it is one of these. Else cases of one of the `groups` (by case) are all in the
    training or all in the validation of a fold; a case without a group is one by itself. Raises UserError when there
    are fewer cases, or groups, than folds, or no such fold.
    """
    names = sorted(cases)
    if isinstance(fold, str):
        return Fold(tuple(names), ())
    if stated:
        if fold >= len(stated):
            there = f"there is {counted(len(stated), 'fold')}, the first is 0"
            raise UserError(f"--fold {fold}: {there}, in the stated split; choose one of them, or all")
        return Fold(tuple(sorted(stated[fold].train)), tuple(sorted(stated[fold].val)))
    members = _members(names, groups or {})
    noun = "case" if len(members) == len(names) else "group"
    if len(members) < folds:
        fewer = f"make fewer folds with --nfolds {len(members)}, or " if len(members) > 1 else ""
        raise UserError(
            f"{counted(len(members), noun)} cannot be split into {folds} folds; {fewer}train on all with --fold all"
        )
    if fold >= folds:
        raise UserError(f"--fold {fold}: there are {folds} folds, 0 to {folds - 1}, and all; choose one of them")
    if noun == "group":
        validated = _balanced(members, folds)[fold]
        return Fold(tuple(name for name in names if name not in validated), tuple(sorted(validated)))
    splits = list(KFold(folds, shuffle=True, random_state=SPLIT_SEED).split(names))
    training, validation = splits[fold]
    return Fold(tuple(names[index] for index in training), tuple(names[index] for index in validation))


def _members(names: Sequence[str], groups: Mapping[str, str]) -> list[list[str]]:
    """The cases of each group, in order; those without a group each by itself."""
    found: dict[tuple[bool, str], list[str]] = {}
    for name in names:
        found.setdefault((name in groups, groups.get(name, name)), []).append(name)
    return list(found.values())


def _balanced(members: Sequence[list[str]], folds: int) -> list[set[str]]:
    """The cases that each fold validates: groups in random order, the largest first, each to the smallest fold."""
    order = np.random.RandomState(SPLIT_SEED).permutation(len(members))
    validated: list[set[str]] = [set() for _ in range(folds)]
    for index in sorted(order, key=lambda index: -len(members[index])):
        min(validated, key=len).update(members[index])
    return validated
