"""The axes of an NRRD file: which one is none of space, and where the others run."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_preprocessing.images.checks.finding import Row, unusable
from data_preprocessing.images.formats.stored import LPS_TO_RAS

DOMAIN_KINDS = ("domain", "space", "time", "???", "none", "unknown")
UNREAL_KINDS = ("complex",)
SIGNS_TO_LPS = {
    "right-anterior-superior": (-1, -1, 1), "ras": (-1, -1, 1), "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1), "left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1),
}  # fmt: skip
VECTOR = re.compile(r"\(([^()]*)\)|(none)", re.IGNORECASE)


@dataclass(frozen=True)
class Geometry:
    """The step from one voxel to the next along each axis of space and the place of the first one: mm, LPS+.

    Of a plane there are two steps, each of two numbers or of three.
    """

    steps: tuple[tuple[float, ...], ...]
    origin: tuple[float, ...]

    def affine(self) -> np.ndarray:
        """Returns the affine (4, 4), RAS+; a plane is 1 mm thick, and lies at z = 0 where its file does not say."""
        affine = np.eye(4)
        for axis, step in enumerate(self.steps):
            affine[:3, axis] = 0
            affine[: len(step), axis] = step
        affine[: len(self.origin), 3] = self.origin
        if len(self.steps) == 2 and len(self.origin) == 3:
            normal = np.cross(*self.steps)
            affine[:3, 2] = normal / (np.linalg.norm(normal) or 1)
        return LPS_TO_RAS @ affine


def channel_axis(path: Path, fields: dict[str, str], sizes: tuple[int, ...]) -> int | None:
    """Returns the axis that is none of space, or the last of four; None where all are.

    Raises Unusable for complex numbers and for more axes than channels and space, ValueError for fields that do not
    fit.
    """
    kinds = fields["kinds"].lower().split() if "kinds" in fields else ["domain"] * len(sizes)
    directions = _directions(fields)
    if len(kinds) != len(sizes) or (directions is not None and len(directions) != len(sizes)):
        raise ValueError(f"kinds or space directions do not fit {len(sizes)} axes")
    if any(kind in UNREAL_KINDS for kind in kinds):
        raise unusable(path, Row.VOXEL_TYPE, "complex voxels", "convert it to one number a voxel")
    others = [
        axis
        for axis, kind in enumerate(kinds)
        if kind not in DOMAIN_KINDS or (directions is not None and directions[axis] is None)
    ]
    if not others and len(sizes) == 4:
        others = [kinds.index("time") if kinds.count("time") == 1 else 3]
    if len(others) > 1 or not 2 <= len(sizes) - len(others) <= 3:
        problem = f"{len(sizes)} axes, sizes {fields['sizes']}"
        raise unusable(path, Row.TOO_MANY_AXES, problem, "give 2 or 3 axes of space, and one of channels")
    return others[0] if others else None


def geometry_of(fields: dict[str, str], axes: list[int]) -> Geometry:
    """Returns how the axes of space run; raises ValueError for fields that do not fit.

    Without `space directions` they run along the coordinates, by `spacings`, from `axis mins`.
    """
    directions = _directions(fields)
    if directions is None:
        if "spacings" in fields and ("space" in fields or "space dimension" in fields):
            raise ValueError("spacings in a named space, where space directions are needed")
        if "axis maxs" in fields and "spacings" not in fields:
            raise ValueError("axis maxs without spacings")
        spacings = _numbers(fields, "spacings", axes, 1.0)
        steps = [tuple(size if row == axis else 0.0 for row in range(len(axes))) for axis, size in enumerate(spacings)]
        return Geometry(tuple(steps), _mins(fields, axes, spacings))
    vectors = [vector for axis in axes if (vector := directions[axis]) is not None]
    used = min(max(map(len, vectors)), 3)
    origin = _vectors(fields["space origin"])[0] if "space origin" in fields else None
    signs = _signs(fields.get("space", ""))[:used]
    place = tuple(origin[:used]) if origin is not None else (0.0,) * used
    if len({len(vector) for vector in vectors}) > 1 or len(place) != used:
        raise ValueError("space directions and space origin do not fit")
    return Geometry(tuple(_signed(vector[:used], signs) for vector in vectors), _signed(place, signs))


def _signed(vector: tuple[float, ...], signs: tuple[int, ...]) -> tuple[float, ...]:
    return tuple(sign * value for sign, value in zip(signs, vector, strict=True)) if signs else vector


def _signs(space: str) -> tuple[int, ...]:
    name = space.lower().strip().removesuffix("-time")
    return SIGNS_TO_LPS.get(name, SIGNS_TO_LPS.get(name[:3] if len(name) == 4 else "", (1, 1, 1)))


def _directions(fields: dict[str, str]) -> list[tuple[float, ...] | None] | None:
    if "space directions" not in fields:
        return None
    found = _vectors(fields["space directions"])
    return None if all(vector is None for vector in found) else found


def _vectors(text: str) -> list[tuple[float, ...] | None]:
    """Vectors in parentheses; `none`, or one of NaN, is None."""
    found: list[tuple[float, ...] | None] = []
    for match in VECTOR.finditer(text):
        vector = tuple(float(number) for number in (match[1] or "").split(",")) if match[1] is not None else None
        found.append(None if vector is not None and all(np.isnan(vector)) else vector)
    if VECTOR.sub("", text).strip() or not found:
        raise ValueError(f"vectors that are none: {text[:40]}")
    return found


def _numbers(fields: dict[str, str], name: str, axes: list[int], default: float) -> tuple[float, ...]:
    """One number for each of `axes`; what is not stated, or NaN, is `default`."""
    if name not in fields:
        return (default,) * len(axes)
    words = fields[name].split()
    if len(words) <= max(axes):
        raise ValueError(f"{len(words)} numbers for {name}")
    values = [float(words[axis]) for axis in axes]
    return tuple(default if np.isnan(value) else value for value in values)


def _mins(fields: dict[str, str], axes: list[int], spacings: tuple[float, ...]) -> tuple[float, ...]:
    """Places of the first voxel's centre: half a voxel further where an axis counts from the cell's border."""
    mins = _numbers(fields, "axis mins", axes, 0.0)
    if "axis mins" not in fields:
        return mins
    centers = fields.get("centers", "").lower().split()
    nodes = [len(centers) > axis and centers[axis] == "node" for axis in axes]
    return tuple(low if node else low + size / 2 for low, size, node in zip(mins, spacings, nodes, strict=True))
