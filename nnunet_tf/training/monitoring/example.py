"""A validated case as a picture."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_preprocessing.common.files import read_model
from data_preprocessing.planning.plan import Plan
from data_preprocessing.shards.format import CaseRecord, record_path
from nnunet_tf.evaluation.reports.display import Look
from nnunet_tf.evaluation.reports.overlay import save_overlay


@dataclass(frozen=True)
class Example:
    """A validated case to look at: image `(D, H, W, C)`; what is scored as numbers from 1 on, `(D, H, W)`."""

    name: str
    image: np.ndarray
    prediction: np.ndarray
    truth: np.ndarray


def draw_example(path: Path, example: Example, plan: Plan, shards: Path, title: str) -> None:
    """Writes a PNG of a case of the folder `shards`; pictures are shown as they are stored.

    Raises UserError where the case has no shard.
    """
    record = read_model(record_path(shards, example.name), CaseRecord, "run preprocess.py again")
    spacing = plan.spacing if plan.dim == 3 else (record.spacing[0], *plan.spacing)
    back = np.argsort(plan.axis_order)  # from network axis order to (z, y, x)
    image, prediction, truth = (
        np.transpose(volume, back) for volume in (example.image[..., 0], example.prediction, example.truth)
    )
    names = dict(enumerate(plan.scored, start=1))
    look = Look(as_stored=record.of_picture, unit="pixels" if record.of_picture else "mm")
    zyx = [spacing[axis] for axis in back]
    save_overlay(path, image, zyx, prediction, names, title, truth, look)
