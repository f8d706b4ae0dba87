"""Defect or none: whole images told apart by the highest probability in them."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel, Field, RootModel

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import read_model
from data_preprocessing.images.volume_io import load_label, read_image
from data_preprocessing.jobs.backend import Backend, Processes
from data_preprocessing.jobs.process_pool import Job
from nnunet_tf.evaluation.scoring.folder import FilePair, estimate_scoring, pair_files
from nnunet_tf.evaluation.scoring.jobs import results_and_failures, run_cases
from nnunet_tf.evaluation.scoring.structures import class_names
from nnunet_tf.evaluation.summaries.summary import Failure
from nnunet_tf.inference.cases.outputs import OUTPUTS_NAME, PROBABILITIES

THRESHOLDS = (0.05, 0.125, 0.25, 0.5, 0.75, 0.85, 0.95, 0.99)  # those of NVIDIA's UNet Industrial


class ImageScore(BaseModel):
    """`probability` is the highest that any voxel has of a foreground output; `defect` whether the label has one."""

    case: str
    probability: float
    defect: bool


class Confusion(BaseModel):
    """How many images are called right and wrong where those of a probability over `threshold` count as defective.

    `sensitivity` is the share of the defective images that are found, `specificity` that of the others that are let
    pass; null where there are none.
    """

    threshold: float
    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int
    sensitivity: float | None
    specificity: float | None
    accuracy: float


class OutputNames(RootModel[list[str]]):
    """`outputs.json`: what the fourth axis of the probabilities stands for."""


class Detection(BaseModel):
    """All images, and the confusion table over the thresholds; `failed` tells which could not be scored."""

    images: list[ImageScore]
    table: list[Confusion]
    failed: dict[str, Failure] = Field(default_factory=dict)


def detect(
    predictions: Path,
    labels: Path,
    backend: Backend = Processes(),
    on_case: Callable[[int, int, int], None] = lambda done, total, failed: None,
) -> Detection:
    """Returns how well the probabilities kept in a folder of predictions tell images with a defect from those without.

    A label with any foreground is a defect. `backend` and `on_case` are those of `evaluate`. An image that fails is
    named under `failed`, with the reason. Raises UserError when all do, there are no probabilities, or one has no
    label.
    """
    home = predictions / PROBABILITIES
    remedy = "predict with --save-probabilities 4d"
    if not (home / OUTPUTS_NAME).is_file():
        raise UserError(f"{home}: holds no probabilities as --detection needs them; {remedy}")
    names = read_model(home / OUTPUTS_NAME, OutputNames, remedy).root
    # Of classes the first is the background; regions have none.
    first = 1 if len(names) > 1 and names[0] == class_names(predictions, labels).get(0) else 0
    pairs = pair_files(home, labels)
    jobs = [Job(pair.name, _image_score, (pair, first), estimate_scoring(pair)) for pair in pairs]
    files = [file for pair in pairs for file in (pair.prediction, pair.truth)]
    scores, failed = results_and_failures(run_cases(jobs, files, backend, on_case))
    images = list(scores.values())
    table = [confusion(images, threshold) for threshold in THRESHOLDS]
    return Detection(images=images, table=table, failed=failed)


def confusion(images: Sequence[ImageScore], threshold: float) -> Confusion:
    """Returns the counts and rates at one threshold."""
    found = [image.probability > threshold for image in images if image.defect]
    alarms = [image.probability > threshold for image in images if not image.defect]
    hits, passed = sum(found), len(alarms) - sum(alarms)
    return Confusion(
        threshold=threshold,
        true_positives=hits,
        false_positives=sum(alarms),
        true_negatives=passed,
        false_negatives=len(found) - hits,
        sensitivity=hits / len(found) if found else None,
        specificity=passed / len(alarms) if alarms else None,
        accuracy=(hits + passed) / len(images),
    )


def _image_score(pair: FilePair, first: int) -> ImageScore:
    probabilities = read_image((pair.prediction,)).array[..., first:]
    label, _ = load_label(pair.truth)
    return ImageScore(case=pair.name, probability=float(probabilities.max()), defect=bool(label.any()))
