"""One configuration among those that predict together."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras

from data_preprocessing.common.errors import UserError
from data_preprocessing.planning.plan import Plan


@dataclass(frozen=True)
class Member:
    """One configuration: a plan, and the networks trained for it (folds), whose logits are averaged."""

    plan: Plan
    networks: tuple[keras.Model, ...]

    @property
    def input_size(self) -> tuple[int, ...]:
        """What its networks see around a patch, along `(D, H, W)`; in 2D its depth is 1."""
        size = self.networks[0].input_shape[1:-1]
        return (1,) * (3 - len(size)) + tuple(size)


def patch_of(plan: Plan) -> tuple[int, ...]:
    """Returns the window of a plan's network along `(D, H, W)`; in 2D its depth is 1."""
    return plan.patch_size if plan.dim == 3 else (1, *plan.patch_size)


def check_plans(plans: Sequence[Plan]) -> None:
    """Raises UserError unless all plans predict the same, in the same order and along the same axes."""
    first = plans[0]
    for name, what in (
        ("channels", "the channels of the image"),
        ("label_values", "the label numbers"),
        ("regions", "the regions"),
        ("axis_order", "the order of the axes"),
    ):
        for plan in plans[1:]:
            if getattr(plan, name) != getattr(first, name):
                raise UserError(
                    f"{plan.name} and {first.name} cannot predict together: they differ in {what}; "
                    "name models of one data set, or predict with each of them alone"
                )
