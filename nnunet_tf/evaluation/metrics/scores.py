"""A score: one structure of one case."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Outcome = Literal["found", "missed", "false alarm", "absent"]


class Score(BaseModel):
    """One structure of one case. What is not counted is None: all but the volumes where it is absent in both.

    Where it is absent in one, Dice and NSD are 0 and the distances infinite. `difference_ml` is predicted - true.
    `precision` is the share of the prediction that is true, `recall` that of the truth that is predicted.
    Of scores taken from training's validation only the Dice is known.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    case: str
    structure: str
    value: int
    outcome: Outcome | None = None
    dice: float | None
    nsd: float | None = None
    hd95_mm: float | None = None
    assd_mm: float | None = None
    predicted_ml: float | None = None
    true_ml: float | None = None
    difference_ml: float | None = None
    precision: float | None = None
    recall: float | None = None


def outcome(predicted: bool, true: bool) -> Outcome:
    """Returns what became of a structure that is `predicted` or not, and there or not."""
    if predicted:
        return "found" if true else "false alarm"
    return "missed" if true else "absent"
