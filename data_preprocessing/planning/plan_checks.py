"""What must hold between the fields of a plan; each check raises ValueError, naming the field."""

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING

from data_preprocessing.common.defaults import HIGHEST_LABEL

if TYPE_CHECKING:
    from data_preprocessing.planning.plan import Plan


def known_axis_order(axes: tuple[int, int, int]) -> tuple[int, int, int]:
    """Returns `axes`, which must be 0, 1 and 2 in some order."""
    if sorted(axes) != [0, 1, 2]:
        raise ValueError(f"{list(axes)} must name each of the axes 0, 1 and 2 once")
    return axes


def distinct_labels(values: tuple[int, ...]) -> tuple[int, ...]:
    """Returns label numbers, which must begin with 0, the background, and be distinct and not negative."""
    if not values or values[0] != 0:
        raise ValueError(f"{list(values)} must begin with 0, the background")
    if max(values) > HIGHEST_LABEL:
        raise ValueError(f"{max(values)} is over {HIGHEST_LABEL}, the highest label number")
    if min(values) < 0 or len(set(values)) < len(values):
        raise ValueError(f"{list(values)} must not be negative, and each number must be there once")
    return values


def check_plan(plan: "Plan") -> None:
    """Raises ValueError where two fields of a plan contradict each other."""
    for name, found, wanted, reason in (
        ("patch_size", plan.patch_size, plan.dim, f"axes in a {plan.dim}D network"),
        ("spacing", plan.spacing, plan.dim, f"axes in a {plan.dim}D network"),
        ("normalization", plan.normalization, len(plan.channels), "channels"),
        ("label_values", plan.label_values, len(plan.classes), "classes"),
    ):
        if len(found) != wanted:
            raise ValueError(f"{name}: has {len(found)} entries, and there are {wanted} {reason}")
    refuse_repeats("classes", plan.classes)
    try:
        plan.topology.check_patch(plan.patch_size)
    except ValueError as error:
        raise ValueError(f"topology: {error}") from None
    _check_regions(plan)


def _check_regions(plan: "Plan") -> None:
    refuse_repeats("regions: name", [region.name for region in plan.regions])
    refuse_repeats("regions: value", [region.value for region in plan.regions])
    highest = max((region.value for region in plan.regions), default=0)
    if highest > HIGHEST_LABEL:
        raise ValueError(f"regions: value: {highest} is over {HIGHEST_LABEL}, the highest label number")
    for region in plan.regions:
        unknown = [index for index in region.classes if index >= len(plan.classes)]
        if unknown:
            raise ValueError(f"regions: {region.name}: there are no classes {unknown}, only {len(plan.classes)}")
        refuse_repeats(f"regions: {region.name}: classes", region.classes)


def refuse_repeats(what: str, values: Iterable[Hashable]) -> None:
    """Raises ValueError, beginning with `what`, where a value is there twice."""
    repeated = [value for value, times in Counter(values).items() if times > 1]
    if repeated:
        raise ValueError(f"{what}: {repeated[0]!r} is there twice")
