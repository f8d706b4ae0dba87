"""One configuration among those that predict together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast

from data_preprocessing.common.errors import UserError
from data_preprocessing.planning.plan import Plan
from nnunet_tf.inference.engines.engine import EngineNetwork
from nnunet_tf.inference.windows.flips import Flip
from nnunet_tf.inference.windows.sliding_window import AHEAD, Forward, WindowOptions, windows_at_once

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Member:
    """One configuration: a plan, and the networks trained for it (folds), whose logits are averaged.

    All networks are Keras', or all are those of one engine.
    """

    plan: Plan
    networks: "tuple[keras.Model, ...] | tuple[EngineNetwork, ...]"

    @property
    def input_size(self) -> tuple[int, ...]:
        """What its networks see around a patch, along `(D, H, W)`; in 2D its depth is 1."""
        size = self.networks[0].input_shape[1:-1]
        return (1,) * (3 - len(size)) + tuple(size)

    def windows(self, options: WindowOptions) -> WindowOptions:
        """Returns `options` with the number of windows at once, found by the device where they leave it open."""
        device: Literal["cpu", "gpu"] = "cpu" if self._has_engine or not _tensorflow_has_gpu() else "gpu"
        return replace(options, batch_size=options.batch_size or windows_at_once(self.input_size, device))

    def make_forward(
        self, options: WindowOptions, flips: Sequence[Flip], with_variance: bool, with_mean: bool
    ) -> Forward:
        """Returns the networks as one function: see `nnunet_tf.inference.windows.forward.make_forward`."""
        regions, at_once = bool(self.plan.regions), self.windows(options).batch_size or 1
        if self._has_engine:
            from nnunet_tf.inference.engines import passes

            networks = cast(tuple[EngineNetwork, ...], self.networks)
            return passes.make_forward(networks, flips, with_variance, with_mean, regions, AHEAD * at_once)
        from nnunet_tf.inference.windows import forward

        lone = 1 if at_once == 1 else None
        return forward.make_forward(self.networks, flips, with_variance, with_mean, regions, lone)

    @property
    def _has_engine(self) -> bool:
        return isinstance(self.networks[0], EngineNetwork)


def _tensorflow_has_gpu() -> bool:
    import tensorflow as tf

    return bool(tf.config.list_logical_devices("GPU"))


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
