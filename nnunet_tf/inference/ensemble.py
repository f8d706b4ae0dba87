"""One or several trained networks that segment a volume together, in bounded memory."""

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from data_preprocessing.errors import UserError
from data_preprocessing.memory import free_memory
from data_preprocessing.plan import Plan
from data_preprocessing.prepare import Placement, place, prepare_image
from data_preprocessing.resample import LINEAR, PlaneResampler, interpolation_orders
from data_preprocessing.volume_io import Volume
from nnunet_tf.inference.canvas import Canvas, Prediction, Wanted
from nnunet_tf.inference.decisions import decided_outputs, entropy, last_region, likeliest, probabilities
from nnunet_tf.inference.forward import Flip, flip_subsets, make_forward
from nnunet_tf.inference.restore import RestoredPlanes
from nnunet_tf.inference.rolling_mean import mean_bytes
from nnunet_tf.inference.sliding_window import (
    Corner,
    Forward,
    WindowOptions,
    planes_in_memory,
    sliding_slabs,
    sliding_window,
    window_corners,
    windows_at_once,
)
from nnunet_tf.runtime.command_line import available_cores

__all__ = ["Ensemble", "Member", "Prediction", "Wanted", "WindowOptions"]

SUMS_BYTES = 4 * 2**30  # of all members, where the options do not say
MOST_THREADS = 8  # that restore planes; each may hold all classes of one


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


@dataclass(frozen=True)
class _Source:
    """What one member makes a prediction from: the network's input `(D, H, W, C)`, and where it lies."""

    plan: Plan
    input_size: tuple[int, ...]
    forward: Forward
    image: np.ndarray
    placement: Placement

    def resampler(self, rows: slice = slice(None)) -> PlaneResampler:
        placement = self.placement
        orders = interpolation_orders(LINEAR, placement.spacing, placement.prepared_spacing)
        return PlaneResampler(placement.prepared_shape, placement.cropped_shape, orders, rows)


class Ensemble:
    """Segments volumes with one or several members.

    The logits of a member's networks and flips are averaged; members, which may differ in spacing and dimensions,
    average probabilities on the grid of the cropped scan (nnU-Net, Nature Methods 2021, "Inference"). `tta_axes` are
    the axes (0, 1, 2) of a volume `(z, y, x)` that are flipped, in all combinations; a 2D network sees none through
    plane. Raises UserError where the members' plans do not fit together.
    """

    def __init__(
        self, members: Sequence[Member], options: WindowOptions = WindowOptions(), tta_axes: Sequence[int] = ()
    ) -> None:
        check_plans([member.plan for member in members])
        self.members, self.options, self.tta_axes = tuple(members), options, tuple(tta_axes)
        first = members[0].plan
        self._regions = bool(first.regions)
        values = (0, *(region.value for region in first.regions)) if first.regions else first.label_values
        self._numbers = np.array(values, np.min_scalar_type(max(values)))
        self._made: dict[bool, list[Forward]] = {}
        self._device: Literal["cpu", "gpu"] = "gpu" if tf.config.list_logical_devices("GPU") else "cpu"

    def logits(self, prepared: np.ndarray) -> np.ndarray:
        """Returns the first member's logits `(D, H, W, outputs)`, float32, for its prepared image `(D, H, W, C)`."""
        member, forward = self.members[0], self._forwards(with_variance=False)[0]
        plan, seen = member.plan, member.input_size
        return sliding_window(prepared, patch_of(plan), forward, plan.outputs, self._windows(seen), seen)

    def predict(
        self, volume: Volume, wanted: Wanted = Wanted(), progress: Callable[[int, int], None] | None = None
    ) -> Prediction:
        """Returns the segmentation of `volume`, as `read_case` gives it, and what else is `wanted`.

        Outside the nonzero box everything is background. `progress` is told how many windows are done, and how many
        there are. No array of all outputs is ever in memory at full size: the planes of one patch are summed up, in
        bands of the second axis where even these are more than `WindowOptions.memory`; finished planes are resampled
        to the scan's grid one by one, and labelled.
        """
        sources = []
        for member, forward in zip(self.members, self._forwards(wanted.uncertainty), strict=True):
            placement = place(volume, member.plan)
            image = prepare_image(volume, placement, member.plan)
            sources.append(_Source(member.plan, member.input_size, forward, image, placement))
        plan, placement = sources[0].plan, sources[0].placement
        canvas = Canvas(volume.array.shape[:3], placement, plan, self._numbers, wanted)
        channels = plan.outputs * (2 if wanted.uncertainty else 1)
        bands = self._bands(sources, channels)
        resamplers = [[source.resampler(rows) for source in sources] for rows in bands]
        count = _Counter(
            progress,
            sum(
                len(self._corners(source, resampler.source_rows))
                for band in resamplers
                for source, resampler in zip(sources, band, strict=True)
            ),
        )
        for rows, band in zip(bands, resamplers, strict=True):
            members = []
            for source, resampler in zip(sources, band, strict=True):
                slabs = sliding_slabs(
                    source.image,
                    patch_of(source.plan),
                    source.forward,
                    channels,
                    self._windows(source.input_size),
                    resampler.source_rows,
                    count.add,
                    source.input_size,
                )
                members.append(RestoredPlanes(slabs, resampler))
            self._restore(members, rows, canvas)
        return canvas.prediction()

    def _forwards(self, with_variance: bool) -> list[Forward]:
        """The function of each member, made once: TensorFlow traces it with its first patches."""
        if with_variance not in self._made:
            self._made[with_variance] = [self._forward(member, with_variance) for member in self.members]
        return self._made[with_variance]

    def _forward(self, member: Member, with_variance: bool) -> Forward:
        lone = self._windows(member.input_size).batch_size == 1
        flips = self._flips(member.plan)
        return make_forward(member.networks, flips, with_variance, self._regions, batch_size=1 if lone else None)

    def _flips(self, plan: Plan) -> list[Flip]:
        """The axes of a volume as those of the network's input, in all combinations."""
        axes = sorted(plan.axis_order.index(axis) - (3 - plan.dim) for axis in self.tta_axes)
        return flip_subsets(axis for axis in axes if axis >= 0)

    def _windows(self, input_size: tuple[int, ...]) -> WindowOptions:
        at_once = self.options.batch_size or windows_at_once(input_size, self._device)
        return replace(self.options, batch_size=at_once)

    def _corners(self, source: _Source, rows: slice) -> list[Corner]:
        return window_corners(source.image.shape[:3], patch_of(source.plan), self.options.overlap, rows)

    def _bands(self, sources: Sequence[_Source], channels: int) -> list[slice]:
        """The rows of the cropped scan in as few bands as keep the sums within the memory for them."""
        budget = self.options.memory or min(free_memory(), SUMS_BYTES)
        rows = sources[0].placement.cropped_shape[1]

        def needed(count: int) -> int:
            total = 0
            for source in sources:
                depth, height, width = source.image.shape[:3]
                planes = planes_in_memory(depth, patch_of(source.plan)[0])
                total += mean_bytes(channels, planes, min(height, math.ceil(height / count) + 2), width)
            return total

        count = next((count for count in range(1, rows) if needed(count) <= budget), rows)
        return [slice(rows * index // count, rows * (index + 1) // count) for index in range(count)]

    def _restore(self, members: Sequence[RestoredPlanes], rows: slice, canvas: Canvas) -> None:
        """Draws all planes of a band; the members go through them in lockstep."""
        index = 0
        with ThreadPoolExecutor(min(available_cores(), MOST_THREADS)) as pool:
            while index < members[0].depth:
                stop = min([member.advance(index) for member in members])
                list(pool.map(lambda plane: self._draw(members, plane, rows, canvas), range(index, stop)))
                index = stop

    def _draw(self, members: Sequence[RestoredPlanes], plane: int, rows: slice, canvas: Canvas) -> None:
        """Draws one plane; output by output where the labels of one member are all that is wanted."""
        outputs = range(self.members[0].plan.outputs)
        alone = len(members) == 1
        if alone and canvas.wanted == Wanted():
            decisions = self._decide((members[0].score(plane, output) for output in outputs), threshold=0)
            canvas.draw_decisions(plane, rows, decisions)
            return
        logits = [np.stack([member.score(plane, output) for output in outputs]) for member in members]
        # Before they become probabilities, among which large logits are all 1: what else is wanted changes no label.
        by_logits = self._decide(logits[0], threshold=0)
        shares = [probabilities(each, self._regions) for each in logits]
        mean = shares[0] if alone else np.mean(shares, axis=0)
        decisions = by_logits if alone else self._decide(mean, threshold=0.5)
        canvas.draw_decisions(plane, rows, decisions)
        canvas.draw_probabilities(plane, rows, mean)
        if canvas.wanted.uncertainty:
            decided = decided_outputs(decisions, mean, self._regions)
            variance = _variance(members, plane, shares, decided)
            canvas.draw_uncertainty(plane, rows, entropy(mean, self._regions), np.sqrt(variance))

    def _decide(self, scores: Iterable[np.ndarray], threshold: float) -> np.ndarray:
        return last_region(scores, threshold) if self._regions else likeliest(scores)


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


def _variance(
    members: Sequence[RestoredPlanes], plane: int, shares: Sequence[np.ndarray], decided: np.ndarray
) -> np.ndarray:
    """The variance over everything averaged of the probability of the output decided on: within and between members."""
    between = np.var([np.take_along_axis(each, decided[np.newaxis], axis=0)[0] for each in shares], axis=0)
    within = np.zeros_like(between)
    for output in np.unique(decided):
        there = decided == output
        for member, each in zip(members, shares, strict=True):
            within[there] += member.score(plane, len(each) + int(output))[there]
    return between + within / len(members)


class _Counter:
    """Tells a callback how many windows are done, and how many there are."""

    def __init__(self, progress: Callable[[int, int], None] | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def add(self, count: int) -> None:
        self._done += count
        if self._progress:
            self._progress(self._done, self._total)
