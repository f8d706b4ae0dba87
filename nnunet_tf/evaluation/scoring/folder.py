"""Scores of a folder of predictions against a folder of labels."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.text import first_few
from data_preprocessing.dataset.memory import PROCESS_BYTES
from data_preprocessing.dataset.scan_names import FIRST_CHANNEL
from data_preprocessing.dataset.scans import find_files
from data_preprocessing.images.checks.grids import compare_grids
from data_preprocessing.images.image_file import read_header
from data_preprocessing.images.orientation import is_usable
from data_preprocessing.jobs.backend import Backend, Processes
from data_preprocessing.jobs.process_pool import Job
from nnunet_tf.evaluation.metrics.scores import Score
from nnunet_tf.evaluation.scoring.case import absent_score, score_case
from nnunet_tf.evaluation.scoring.jobs import results_and_failures, run_cases
from nnunet_tf.evaluation.scoring.options import WORST, ScoringOptions
from nnunet_tf.evaluation.scoring.structures import Structures, class_structures, find_structures, with_background
from nnunet_tf.evaluation.summaries.summary import Evaluation, evaluation

COPIES_TO_READ = 2  # of a label file's voxels as stored, while they become label numbers
BYTES_TO_SCORE = 4  # a voxel: two label volumes, and masks of the largest structure


@dataclass(frozen=True)
class FilePair:
    """The files of one case."""

    name: str
    prediction: Path
    truth: Path


def evaluate(
    predictions: Path,
    labels: Path,
    backend: Backend = Processes(),
    options: ScoringOptions = ScoringOptions(),
    worst: int = WORST,
    on_case: Callable[[int, int, int], None] = lambda done, total, failed: None,
    named_as: Path | None = None,
) -> Evaluation:
    """Returns the scores of every prediction against the label file of the same name.

    What is scored is that of `find_structures`, of the predictions or else of those in `named_as`, else the numbers in
    the files. Where files are large, `backend` does
    the work; `on_case(done, total, failed)` is called after each case, those that failed being among the done. A case
    that fails is named under `failed`, with the reason. Raises UserError when all do, or when a prediction has no
    label.
    """
    pairs = pair_files(predictions, labels)
    structures = find_structures(predictions, labels, options.include_background)
    if structures is None and named_as:
        structures = find_structures(named_as, labels, options.include_background)
    jobs = [Job(pair.name, score_case, _arguments(pair, structures, options), estimate_scoring(pair)) for pair in pairs]
    files = [file for pair in pairs for file in (pair.prediction, pair.truth)]
    cases, failed = results_and_failures(run_cases(jobs, files, backend, on_case))
    if structures is None:
        cases = _with_the_same_rows(cases, options)
    result = evaluation(
        [score for rows in cases.values() for score in rows], worst, options.tolerance_mm if options.surface else None
    )
    predicted = {pair.truth for pair in pairs}
    unpredicted = [name for name, path in find_files(labels).items() if path not in predicted]
    return result.model_copy(update={"failed": failed, "unpredicted": unpredicted})


def pair_files(predictions: Path, labels: Path) -> list[FilePair]:
    """Returns each prediction with the label file of its name; raises UserError when one has none.

    A label may also be called as the scan's only channel file, `name_0000`, where no prediction is called so.
    """
    truths, predicted = find_files(labels), find_files(predictions)
    pairs = []
    for name, path in predicted.items():
        channel = name + FIRST_CHANNEL
        truth = truths.get(name) or (None if channel in predicted else truths.get(channel))
        if truth is None:
            raise UserError(
                f"{path}: has no label of that name in {labels}, which has {first_few(truths)}; name the right folder, "
                "or give labels the names of the scans"
            )
        pairs.append(FilePair(name, path, truth))
    return pairs


def on_other_grids(predictions: Path, labels: Path) -> list[str]:
    """Returns the names of the predictions that lie elsewhere than their label, by the headers of both."""
    names = []
    for pair in pair_files(predictions, labels):
        headers = [read_header(path) for path in (pair.prediction, pair.truth)]
        grids = [
            ((*header.get_data_shape(), 1, 1)[:3], header.get_best_affine()) for header in headers if header is not None
        ]
        if len(grids) == 2 and all(is_usable(affine) for _, affine in grids):
            names += [pair.name] * (not compare_grids(*grids[0], *grids[1]).none)
    return names


def estimate_scoring(pair: FilePair) -> int:
    """Returns the bytes that scoring a case will take at most, told from the headers."""
    total = PROCESS_BYTES
    for header in filter(None, map(read_header, (pair.prediction, pair.truth))):
        voxel = header.get_data_dtype().itemsize * COPIES_TO_READ + BYTES_TO_SCORE
        total += math.prod(header.get_data_shape()) * voxel
    return total


def _arguments(pair: FilePair, structures: Structures | None, options: ScoringOptions) -> tuple:
    return pair.name, pair.prediction, pair.truth, structures, options


def _with_the_same_rows(cases: dict[str, list[Score]], options: ScoringOptions) -> dict[str, list[Score]]:
    """Every case with a row for every label number of any: those that it lacks are absent in it."""
    names = {score.value: score.structure for rows in cases.values() for score in rows}
    structures = class_structures({0: "label 0"} | dict(sorted(names.items())))
    scored = (with_background(structures) if options.include_background else structures).scored
    complete = {}
    for case, rows in cases.items():
        known = {score.value: score for score in rows}
        complete[case] = [known.get(each.value) or absent_score(case, each, options) for each in scored]
    return complete
