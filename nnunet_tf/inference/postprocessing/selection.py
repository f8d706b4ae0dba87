"""Leave out structures that are not wanted, and components that are too small to be any."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from data_preprocessing.common.errors import UserError
from data_preprocessing.planning.plan import Plan
from data_preprocessing.transforms.crop import bounding_box, crop
from nnunet_tf.inference.postprocessing.components import connected_components, slabs
from nnunet_tf.inference.postprocessing.settings import erase

ALL = ""  # as a name: every structure


@dataclass(frozen=True)
class Selection:
    """What is left of a segmentation: `kept` label numbers and what each becomes, None for all as they are.

    `smallest` is the least volume (mm3) of a component, by label number.
    """

    kept: tuple[tuple[int, int], ...] | None = None
    smallest: tuple[tuple[int, float], ...] = ()

    @classmethod
    def of_names(cls, plan: Plan, subset: Sequence[str] | None, smallest: Sequence[tuple[str, float]]) -> Self:
        """Returns the selection by the names of a plan's structures; `ALL` in `smallest` stands for each of them.

        Of a plan with regions, what was painted as a region inside a kept one becomes the kept one. Raises UserError
        for a name that is none of the plan's.
        """
        values = [region.value for region in plan.regions] or list(plan.label_values[1:])
        numbers = dict(zip(plan.scored, values, strict=True))
        for option, names in (("--roi-subset", subset or ()), ("--min-volume", [name for name, _ in smallest])):
            for name in names:
                if name != ALL and name not in numbers:
                    raise UserError(f"{option} {name}: is no structure of the model; choose of {', '.join(numbers)}")
        volumes = {number: volume for name, volume in smallest if name == ALL for number in values}
        volumes |= {numbers[name]: volume for name, volume in smallest if name != ALL}
        kept = None if subset is None else _kept(plan, {numbers[name] for name in subset})
        return cls(kept, tuple(sorted(volumes.items())))

    @property
    def numbers(self) -> frozenset[int] | None:
        """The label numbers that a selected segmentation may hold, None for all."""
        return None if self.kept is None else frozenset(number for _, number in self.kept)


def select(labels: np.ndarray, selection: Selection, voxel_mm3: float) -> np.ndarray:
    """Returns `labels` `(z, y, x)`, unsigned label numbers, with 0 where the selection leaves something out.

    The array is changed in place where it can be written to. Components are those of what is kept.
    """
    if selection == Selection():
        return labels
    result = labels if labels.flags.writeable else labels.copy()
    if selection.kept is not None:
        table = np.zeros(int(result.max(initial=0)) + 1, result.dtype)
        for number, becomes in selection.kept:
            table[number : number + 1] = becomes
        for planes in slabs(result.shape):
            result[planes] = table[result[planes]]
    if selection.smallest and result.any():
        inside = crop(result, bounding_box(result))
        found = connected_components(inside)
        limits = np.zeros(int(found.values.max()) + 1)
        for number, volume in selection.smallest:
            limits[number : number + 1] = volume
        erase(inside, found, (found.sizes > 0) & (found.sizes * voxel_mm3 < limits[found.values]))
    return result


def _kept(plan: Plan, wanted: set[int]) -> tuple[tuple[int, int], ...]:
    """Each label number that lies in a wanted structure, and the number of the innermost such one."""
    if not plan.regions:
        return tuple((number, number) for number in sorted(wanted))
    kept = []
    for index, painted in enumerate(plan.regions):
        around = [
            region.value
            for region in plan.regions[: index + 1]
            if region.value in wanted and set(painted.classes) <= set(region.classes)
        ]
        kept += [(painted.value, around[-1])] * bool(around)
    return tuple(kept)
