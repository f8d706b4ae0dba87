"""Scores of a folder of predictions against a folder of labels."""

from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from data_preprocessing.dataset import find_images, read_labels
from data_preprocessing.errors import UserError
from data_preprocessing.plan import PLAN_NAME, read_plan
from data_preprocessing.volume_io import load_label, same_grid
from nnunet_tf.evaluation.dice import Summary, overlap_counts, summarize


def evaluate(predictions: Path, labels: Path, n_jobs: int = 1) -> Summary:
    """Returns Dice of every prediction against the label file of the same name, a class and a case.

    The classes are those of `dataset.json` beside the label folder, else those of the model that made the predictions,
    else the numbers in the labels. Raises UserError when a prediction has no label or the grids differ.
    """
    truths = {case.name: case.images[0] for case in find_images(labels, channels=1)}
    pairs = {case.name: (case.images[0], truths.get(case.name)) for case in find_images(predictions, channels=1)}
    for path, truth in pairs.values():
        if truth is None:
            raise UserError(f"{path}: has no label of that name in {labels}; remove it or name the right folder")
    names = class_names(predictions, labels) or _numbered([truth for _, truth in pairs.values() if truth])
    numbers = [number for number in names if number != 0]
    jobs = (delayed(score_case)(path, truth, numbers) for path, truth in pairs.values())
    counts = np.array(Parallel(n_jobs=min(n_jobs, len(pairs)))(jobs))
    return summarize(list(pairs), [names[number] for number in numbers], counts)


def score_case(prediction: Path, truth: Path, numbers: list[int]) -> np.ndarray:
    """Returns `overlap_counts` of two label files; raises UserError when their grids differ."""
    predicted, predicted_image = load_label(prediction)
    true, true_image = load_label(truth)
    if predicted.shape != true.shape or not same_grid(predicted_image.affine, true_image.affine):
        raise UserError(f"{prediction}: its voxel grid differs from that of {truth}; scores need the same grid")
    return overlap_counts(predicted, true, numbers)


def class_names(predictions: Path, labels: Path) -> dict[int, str]:
    """Returns the class name of each label number, from `dataset.json` or `plan.json` one folder up; {} without any."""
    dataset = labels.resolve().parent / "dataset.json"
    if dataset.is_file():
        return read_labels(dataset)
    model = predictions.resolve().parent
    if (model / PLAN_NAME).is_file():
        plan = read_plan(model, "train the model again")
        return dict(zip(plan.label_values, plan.classes, strict=True))
    return {}


def _numbered(truths: list[Path]) -> dict[int, str]:
    numbers = sorted(set().union(*(np.unique(load_label(path)[0]).tolist() for path in truths)))
    return {number: f"label {number}" for number in numbers}
