"""`validation.json`: what training has scored on the cases that its fold holds back."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, Field, NonNegativeInt, model_validator

from data_preprocessing.common.files import read_model
from nnunet_tf.evaluation.metrics.dice import Summary
from nnunet_tf.inference.models.folder import VALIDATION_NAME

Dice = Annotated[float, Field(ge=0, le=1)]


class EpochScores(BaseModel):
    """Dice of one epoch, counted from 0 as in `metrics.jsonl`: the mean, and by class; null where none was scored."""

    epoch: NonNegativeInt
    mean_dice: Dice | None
    classes: dict[str, Dice | None]

    @classmethod
    def of_summary(cls, summary: Summary, epoch: int) -> Self:
        """Returns the scores of a validation at the end of `epoch`."""
        classes = {each.name: each.mean_dice for each in summary.classes}
        return cls(epoch=epoch, mean_dice=summary.mean_dice, classes=classes)


class ValidationScores(Summary):
    """Dice of the best epoch, and of the last one that was validated, which no choice among epochs has raised.

    `epoch` is the best, counted from 0. Files of older versions know neither it nor `last`.
    """

    epoch: NonNegativeInt | None = None
    last: EpochScores | None = None

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        names = [each.name for each in self.classes]
        if not names:
            raise ValueError("classes must not be empty")
        if self.last and list(self.last.classes) != names:
            raise ValueError(f"last: has other classes ({', '.join(self.last.classes)}) than {', '.join(names)}")
        for case, row in self.cases.items():
            if list(row) != names:
                raise ValueError(f"cases: {case} has other classes ({', '.join(row)}) than {', '.join(names)}")
        scores = [self.mean_dice, *(each.mean_dice for each in self.classes)]
        scores += [score for row in self.cases.values() for score in row.values()]
        if not all(score is None or 0 <= score <= 1 for score in scores):
            raise ValueError("a Dice is a number from 0 to 1")
        return self


def read_validation(folder: Path, remedy: str) -> ValidationScores:
    """Returns the scores kept in a model folder; raises UserError, ending in `remedy`, where there are none."""
    return read_model(folder / VALIDATION_NAME, ValidationScores, remedy)
