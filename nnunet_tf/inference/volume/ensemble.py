"""One or several trained networks that segment a volume together, in bounded memory."""

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from data_preprocessing.common.machine import available_cores
from data_preprocessing.images.volume_io import Volume
from data_preprocessing.jobs.free_memory import free_memory
from data_preprocessing.planning.plan import Plan
from data_preprocessing.shards.prepare import Placement, place, prepare_image
from data_preprocessing.transforms.resample import LINEAR, PlaneResampler, interpolation_orders
from nnunet_tf.inference.volume.decisions import decided_outputs, entropy, last_region, likeliest, probabilities
from nnunet_tf.inference.volume.member import Member, check_plans, patch_of
from nnunet_tf.inference.volume.prediction import Canvas, Prediction, Wanted
from nnunet_tf.inference.volume.resampled_planes import RestoredPlanes
from nnunet_tf.inference.volume.spread import total_variance
from nnunet_tf.inference.windows.flips import Flip, flip_subsets
from nnunet_tf.inference.windows.rolling_mean import mean_bytes
from nnunet_tf.inference.windows.sliding_window import (
    Corner,
    Forward,
    WindowOptions,
    planes_in_memory,
    sliding_slabs,
    sliding_window,
    window_corners,
)

__all__ = ["Ensemble", "Member", "Prediction", "Wanted", "WindowOptions"]

SUMS_BYTES = 4 * 2**30  # of all members, where the options do not say
MOST_THREADS = 8  # that restore planes; each may hold all classes of one


@dataclass(frozen=True)
class _Source:
    """What one member makes a prediction from: the network's input `(D, H, W, C)`, and where it lies.

    `channels` are those of the scores that `forward` returns.
    """

    plan: Plan
    input_size: tuple[int, ...]
    windows: WindowOptions
    forward: Forward
    channels: int
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

    def logits(self, prepared: np.ndarray) -> np.ndarray:
        """Returns the first member's logits `(D, H, W, outputs)`, float32, for its prepared image `(D, H, W, C)`."""
        member, forward = self.members[0], self._forwards(with_variance=False)[0]
        plan, windows = member.plan, member.windows(self.options)
        return sliding_window(prepared, patch_of(plan), forward, plan.outputs, windows, member.input_size)

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
            channels = member.plan.outputs * self._values_per_output(member, wanted.uncertainty)
            windows = member.windows(self.options)
            sources.append(_Source(member.plan, member.input_size, windows, forward, channels, image, placement))
        plan, placement = sources[0].plan, sources[0].placement
        canvas = Canvas(volume.array.shape[:3], placement, plan, self._numbers, wanted)
        bands = self._bands(sources)
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
                    source.channels,
                    source.windows,
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
        with_mean = with_variance and self._needs_mean(member)
        return member.make_forward(self.options, self._flips(member.plan), with_variance, with_mean)

    def _needs_mean(self, member: Member) -> bool:
        """Whether the spread between members needs the mean probability over the passes of this one."""
        return len(self.members) > 1 and len(member.networks) * len(self._flips(member.plan)) > 1

    def _values_per_output(self, member: Member, uncertainty: bool) -> int:
        return 2 + self._needs_mean(member) if uncertainty else 1

    def _flips(self, plan: Plan) -> list[Flip]:
        """The axes of a volume as those of the network's input, in all combinations."""
        axes = sorted(plan.axis_order.index(axis) - (3 - plan.dim) for axis in self.tta_axes)
        return flip_subsets(axis for axis in axes if axis >= 0)

    def _corners(self, source: _Source, rows: slice) -> list[Corner]:
        return window_corners(source.image.shape[:3], patch_of(source.plan), self.options.overlap, rows)

    def _bands(self, sources: Sequence[_Source]) -> list[slice]:
        """The rows of the cropped scan in as few bands as keep the sums within the memory for them."""
        budget = self.options.memory or min(free_memory(), SUMS_BYTES)
        rows = sources[0].placement.cropped_shape[1]

        def needed(count: int) -> int:
            total = 0
            for source in sources:
                depth, height, width = source.image.shape[:3]
                planes = planes_in_memory(depth, patch_of(source.plan)[0])
                total += mean_bytes(source.channels, planes, min(height, math.ceil(height / count) + 2), width)
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
            variance = total_variance(members, plane, shares, decided)
            canvas.draw_uncertainty(plane, rows, entropy(mean, self._regions), np.sqrt(variance))

    def _decide(self, scores: Iterable[np.ndarray], threshold: float) -> np.ndarray:
        return last_region(scores, threshold) if self._regions else likeliest(scores)


class _Counter:
    """Tells a callback how many windows are done, and how many there are."""

    def __init__(self, progress: Callable[[int, int], None] | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def add(self, count: int) -> None:
        self._done += count
        if self._progress:
            self._progress(self._done, self._total)
