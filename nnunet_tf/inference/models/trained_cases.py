"""`cases.json`: which cases a model has learned from and was validated on, kept in its folder with their checksums."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, Self

from data_preprocessing.common.files import read_model, write_model
from data_preprocessing.common.task import Strict
from data_preprocessing.common.text import first_few
from data_preprocessing.planning.plan import read_plan
from nnunet_tf.data.folds import Fold

CASES_NAME = "cases.json"


class TrainedCases(Strict):
    """The split of a run: the SHA-256 over a case's shard files, by the name of the case."""

    format: Literal[1] = 1
    training: dict[str, str]
    validation: dict[str, str]

    @classmethod
    def of_fold(cls, fold: Fold, checksums: Mapping[str, str]) -> Self:
        """Returns the cases of a fold, with the checksums of those that have one."""
        training, validation = (
            {name: checksums.get(name, "") for name in names} for names in (fold.training, fold.validation)
        )
        return cls(training=training, validation=validation)

    @property
    def checksums(self) -> dict[str, str]:
        """The checksums of all cases by name."""
        return self.training | self.validation


def read_trained_cases(folder: Path, remedy: str) -> TrainedCases:
    """Returns the cases kept in a model folder; raises UserError, ending in `remedy`, where there are none."""
    return read_model(folder / CASES_NAME, TrainedCases, remedy)


def write_trained_cases(folder: Path, cases: TrainedCases) -> None:
    """Writes the cases of a run into its model folder, atomically."""
    write_model(folder / CASES_NAME, cases)


def validated_though_learnt(model: Path, dataset: str, cases: TrainedCases) -> list[str]:
    """Returns the validation cases of a run that the model it starts from has learned from, as far as that is known.

    Cases of one name are taken for the same where `dataset` is that of the model, and those of equal shards anywhere.
    """
    if not (model / CASES_NAME).is_file():
        return []
    remedy = f"copy the model again, or leave out --pretrained {model}"
    learnt, plan = read_trained_cases(model, remedy).training, read_plan(model, remedy)
    same = plan.dataset == dataset
    sums = set(learnt.values()) - {""}
    return [name for name, checksum in cases.validation.items() if (same and name in learnt) or checksum in sums]


def added_and_removed(before: TrainedCases, now: TrainedCases) -> list[str]:
    """Returns, in words, which cases are in one of two runs only; an empty list where there are none."""
    old, new = before.checksums.keys(), now.checksums.keys()
    return _named({"added": new - old, "removed": old - new})


def changed(before: TrainedCases, now: TrainedCases) -> list[str]:
    """Returns, in words, which of the cases that two runs share have other shards."""
    old, new = before.checksums, now.checksums
    return _named({"changed": [name for name in old.keys() & new.keys() if old[name] != new[name]]})


def moved(before: TrainedCases, now: TrainedCases) -> list[str]:
    """Returns, in words, which cases are learned from in one of two runs and validated on in the other."""
    return _named(
        {
            "moved into the validation": before.training.keys() & now.validation.keys(),
            "moved out of the validation": before.validation.keys() & now.training.keys(),
        }
    )


def _named(groups: dict[str, Iterable[str]]) -> list[str]:
    return [f"{what}: {first_few(sorted(names))}" for what, names in groups.items() if names]
