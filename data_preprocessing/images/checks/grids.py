"""Check that the files of one case lie on one grid, whatever the order in which each stores its voxels."""

from dataclasses import dataclass

import numpy as np
from nibabel.orientations import aff2axcodes

from data_preprocessing.images.checks.finding import Finding, Row, error, warning
from data_preprocessing.images.orientation import axes_onto, in_order_of, unit_directions

GRID_TOLERANCE = 1e-3  # affines this close (mm) describe the same grid
TURN_OF_ROUNDING = 1.0  # degrees between axes: directions written with two digits reach 0.6
SAME_VOXEL = 0.5  # voxels: no voxel is nearer to another one's center
NOT_TRUSTED = "--trust-grid never crosses an orientation"


@dataclass(frozen=True)
class GridDifference:
    """How the grid of a file differs from a reference, when its voxels are brought into the order of the reference.

    `reordered` says that the file stores them in another order: with axes flipped or exchanged. `shapes` are those of
    both, `(i, j, k)` of the reference; `mm` is the largest difference between the affines, `degrees` the largest angle
    between their axes, `voxels` how far a voxel lies at most from the one of the same index; `affines` are those of
    both files.
    """

    reordered: bool
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    mm: float
    degrees: float
    voxels: float
    affines: tuple[np.ndarray, np.ndarray]

    @property
    def none(self) -> bool:
        """Whether both are the same grid in space."""
        return self.shapes[0] == self.shapes[1] and self.mm <= GRID_TOLERANCE

    @property
    def can_be_trusted(self) -> bool:
        """Whether voxels can be laid on one another all the same: only origin or spacing differ, not the orientation.

        Where the order of the voxels differs, one of the headers could be wrong, and the voxels mirrored, unless both
        still agree about where every voxel is.
        """
        turned = self.degrees > TURN_OF_ROUNDING
        return self.shapes[0] == self.shapes[1] and not turned and (not self.reordered or self.voxels < SAME_VOXEL)

    @property
    def detail(self) -> str:
        """What differs, own before the reference's, in words."""
        if self.can_be_trusted:
            return f"affines up to {self.mm:.3g} mm apart"
        if self.degrees > TURN_OF_ROUNDING:
            return f"axes turned by {self.degrees:.3g} degrees"
        if not self.reordered:
            return "shapes {} and {}".format(*self.shapes)
        return "orientations {} and {}".format(*("".join(aff2axcodes(affine)) for affine in self.affines))


def compare_grids(
    shape: tuple[int, ...], affine: np.ndarray, reference_shape: tuple[int, ...], reference_affine: np.ndarray
) -> GridDifference:
    """Returns how the grid of a file, `(i, j, k)` and mm, differs from a reference; both affines must be usable."""
    axes = axes_onto(affine, reference_affine)
    moves = ~(axes == [[0, 1], [1, 1], [2, 1]]).all(axis=1)  # an axis of one voxel can be flipped and nothing changes
    own_shape, own = in_order_of(shape, affine, axes)
    cosines = np.sum(unit_directions(own) * unit_directions(reference_affine), axis=0)
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(reference_shape) - 1)
    homogeneous = np.column_stack([corners, np.ones(len(corners))])
    moved = homogeneous @ (np.linalg.inv(reference_affine) @ own).T - homogeneous
    return GridDifference(
        reordered=bool((moves & (np.array(shape) > 1)).any()),
        shapes=(own_shape, tuple(reference_shape)),
        mm=float(np.abs(own - reference_affine).max()),
        degrees=float(np.degrees(np.arccos(np.clip(cosines, -1, 1))).max()),
        voxels=float(np.abs(moved).max()),
        affines=(affine, reference_affine),
    )


def check_channel_grid(
    shape: tuple[int, int, int], affine: np.ndarray, first_shape: tuple[int, int, int], first_affine: np.ndarray
) -> list[Finding]:
    """A channel file on another grid than the first one of its case."""
    if compare_grids(shape, affine, first_shape, first_affine).none:
        return []
    return [error(Row.CHANNEL_GRID, "its grid differs from that of the first channel", "a case has one grid")]


def check_label_shape(shape: tuple[int, ...], image_shape: tuple[int, ...]) -> list[Finding]:
    """A label of another shape `(i, j, k)` than its image, in whatever order its axes are."""
    if sorted(shape) == sorted(image_shape):
        return []
    return [_other_shape(shape, image_shape)]


def check_label_grid(
    shape: tuple[int, int, int],
    affine: np.ndarray,
    image_shape: tuple[int, int, int],
    image_affine: np.ndarray,
    trust_grid: bool,
) -> list[Finding]:
    """A label of another shape than its image, or elsewhere.

    With `trust_grid` the label's voxels are those of its image all the same, one for one, where only the origin or the
    spacing differs.
    """
    difference = compare_grids(shape, affine, image_shape, image_affine)
    if difference.none:
        return []
    if difference.shapes[0] != difference.shapes[1] and shape != image_shape:
        return [_other_shape(shape, image_shape)]
    problem = f"its grid differs from its image's ({difference.detail})"
    if not difference.can_be_trusted:
        return [error(Row.LABEL_GRID, problem, f"correct the wrong header; {NOT_TRUSTED}")]
    if trust_grid:
        return [warning(Row.LABEL_GRID, problem, "it is laid on its image voxel by voxel, as --trust-grid says")]
    return [error(Row.LABEL_GRID, problem, "bring both onto one grid, or lay one on the other with --trust-grid")]


def _other_shape(shape: tuple[int, ...], image_shape: tuple[int, ...]) -> Finding:
    problem = f"shape {shape} differs from its image's {image_shape}"
    return error(Row.LABEL_SHAPE, problem, "labels are never resized; bring both onto one grid")
