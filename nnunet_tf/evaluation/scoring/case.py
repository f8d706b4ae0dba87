"""The scores of one case: a row for each structure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.training_case import class_indices
from data_preprocessing.images.checks.grids import NOT_TRUSTED, compare_grids
from data_preprocessing.images.checks.voxels import label_numbers
from data_preprocessing.images.image_file import load_image
from data_preprocessing.images.nifti_file import NiftiImage
from data_preprocessing.images.orientation import spacing_zyx
from data_preprocessing.images.volume_io import file_grid, numbers_on
from nnunet_tf.evaluation.metrics.dice import dice, histogram_counts, joint_histogram
from nnunet_tf.evaluation.metrics.scores import Score, outcome
from nnunet_tf.evaluation.metrics.surface_distance import assd, hd95, nsd, surface_distances
from nnunet_tf.evaluation.scoring.options import ScoringOptions
from nnunet_tf.evaluation.scoring.structures import Structure, Structures, class_structures, with_background

CUBIC_MM_PER_ML = 1000
Box = tuple[slice, ...]


@dataclass(frozen=True)
class LabelPair:
    """A prediction and its truth on one grid: label numbers `(z, y, x)`, RAS+; `affine` (mm) is that of the files."""

    prediction: np.ndarray
    truth: np.ndarray
    affine: np.ndarray

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm `(z, y, x)`."""
        return spacing_zyx(self.affine)

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in ml."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / CUBIC_MM_PER_ML


def load_pair(prediction: Path, truth: Path, trust_grid: bool = False) -> LabelPair:
    """Returns two label files, unsigned `(z, y, x)`, on the RAS+ grid of the truth; `trust_grid` as in `open_pair`.

    Raises UserError where a file is damaged or the grids differ.
    """
    predicted, true = open_pair(prediction, truth, trust_grid)
    return LabelPair(numbers_on(prediction, predicted, true.affine), numbers_on(truth, true, true.affine), true.affine)


def open_pair(prediction: Path, truth: Path, trust_grid: bool = False) -> tuple[NiftiImage, NiftiImage]:
    """Returns two label files that lie on the same grid in space, each in its own voxel order.

    With `trust_grid` origin or spacing may differ. Raises UserError naming both where the grids differ.
    """
    predicted, true = load_image(prediction, as_label=True), load_image(truth, as_label=True)
    refuse_other_grid(prediction, predicted, truth, true, trust_grid, "bring both onto one grid")
    return predicted, true


def refuse_other_grid(
    path: Path, image: NiftiImage, other_path: Path, other: NiftiImage, trust_grid: bool, remedy: str
) -> None:
    """Raises UserError naming both files where their grids differ; with `trust_grid`, where it cannot be trusted."""
    difference = compare_grids(*file_grid(image), *file_grid(other))
    if difference.none or (trust_grid and difference.can_be_trusted):
        return
    trusting = "or lay one on the other with --trust-grid" if difference.can_be_trusted else NOT_TRUSTED
    problem = f"its voxel grid differs from that of {other_path} ({difference.detail})"
    raise UserError(f"{path}: {problem}; {remedy}, {trusting}")


def score_case(
    case: str, prediction: Path, truth: Path, structures: Structures | None, options: ScoringOptions = ScoringOptions()
) -> list[Score]:
    """Returns a row for each of `structures`, or, where they are None, for each number in either file.

    Raises UserError when the grids differ or a file holds a number that nothing names.
    """
    pair = load_pair(prediction, truth, options.trust_grid)
    if structures is None:
        present = label_numbers(pair.prediction) | label_numbers(pair.truth) | {0}
        structures = class_structures({number: f"label {number}" for number in sorted(present)})
        structures = with_background(structures) if options.include_background else structures
    indices = LabelPair(  # small, and without gaps
        class_indices(pair.prediction, structures.predicted, prediction),
        class_indices(pair.truth, structures.true, truth),
        pair.affine,
    )
    del pair
    return score_indices(case, indices, structures, options)


def score_indices(case: str, pair: LabelPair, structures: Structures, options: ScoringOptions) -> list[Score]:
    """Returns a row for each structure; `pair` holds places in `structures.predicted` and `structures.true`."""
    predicted_at, true_at = _places(structures.predicted), _places(structures.true)
    histogram = joint_histogram(pair.prediction, pair.truth, len(predicted_at), len(true_at))
    predicted_boxes = _boxes(pair.prediction, len(predicted_at)) if options.surface else []
    true_boxes = _boxes(pair.truth, len(true_at)) if options.surface else []
    scores = []
    for structure in structures.scored:
        predicted = [predicted_at[number] for number in structure.predicted]
        true = [true_at[number] for number in structure.true]
        row = _overlap_score(case, structure, histogram_counts(histogram, predicted, true), pair.voxel_ml, options)
        if options.surface and row.outcome == "found":
            boxes = [predicted_boxes[place] for place in predicted] + [true_boxes[place] for place in true]
            box = _union(boxes)
            masks = _mask(pair.prediction[box], predicted), _mask(pair.truth[box], true)
            row = row.model_copy(update=_measured(*masks, pair, options.tolerance_mm))
        elif options.surface and row.outcome in ("missed", "false alarm"):
            row = row.model_copy(update={"nsd": 0.0, "hd95_mm": np.inf, "assd_mm": np.inf})
        scores.append(row)
    return scores


def _measured(prediction: np.ndarray, truth: np.ndarray, pair: LabelPair, tolerance_mm: float) -> dict[str, float]:
    """What a row tells of the surfaces of two masks, cut from those of the pair."""
    axes = [axis for axis, size in enumerate(pair.truth.shape) if size > 1] or [0]
    distances = surface_distances(prediction, truth, pair.spacing, axes)
    return {"nsd": nsd(distances, tolerance_mm), "hd95_mm": hd95(distances), "assd_mm": assd(distances)}


def absent_score(case: str, structure: Structure, options: ScoringOptions) -> Score:
    """Returns the row of a structure that is neither predicted nor there."""
    return _overlap_score(case, structure, (0, 0, 0), 0.0, options)


def _overlap_score(
    case: str, structure: Structure, counts: tuple[int, int, int], voxel_ml: float, options: ScoringOptions
) -> Score:
    both, predicted, true = counts
    score = float(dice(np.array(counts), absent=1.0 if options.count_absent else np.nan))
    became = outcome(predicted > 0, true > 0)
    return Score(
        case=case,
        structure=structure.name,
        value=structure.value,
        outcome=became,
        dice=None if np.isnan(score) else score,
        nsd=1.0 if became == "absent" and options.count_absent and options.surface else None,
        predicted_ml=predicted * voxel_ml,
        true_ml=true * voxel_ml,
        difference_ml=(predicted - true) * voxel_ml,
        precision=both / predicted if predicted else None,
        recall=both / true if true else None,
    )


def _places(names: dict[int, str]) -> dict[int, int]:
    return {number: place for place, number in enumerate(names)}


def _boxes(indices: np.ndarray, count: int) -> list[Box | None]:
    """The smallest box around each index, None where it is not there; the background's is everything."""
    everything = tuple(slice(0, size) for size in indices.shape)
    return [everything, *ndimage.find_objects(indices, count - 1)]


def _union(boxes: Sequence[Box | None]) -> Box:
    """The smallest box around those that are there."""
    there = [box for box in boxes if box is not None]
    return tuple(slice(min(a.start for a in sides), max(a.stop for a in sides)) for sides in zip(*there, strict=True))


def _mask(indices: np.ndarray, wanted: Sequence[int]) -> np.ndarray:
    return indices == wanted[0] if len(wanted) == 1 else np.isin(indices, wanted)
