"""A picture of each of the worst cases."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import make_folder, refuse_clashing_names
from data_preprocessing.dataset.scan_names import FIRST_CHANNEL
from data_preprocessing.dataset.scans import find_files, find_images
from data_preprocessing.images.image_file import read_header
from data_preprocessing.images.volume_io import numbers_on, read_image
from data_preprocessing.jobs.backend import Backend, Processes
from data_preprocessing.jobs.process_pool import Job, Outcome
from nnunet_tf.evaluation.reports.display import look_of
from nnunet_tf.evaluation.reports.overlay import save_overlay
from nnunet_tf.evaluation.scoring.case import open_pair, refuse_other_grid
from nnunet_tf.evaluation.scoring.folder import FilePair, estimate_scoring, pair_files
from nnunet_tf.evaluation.scoring.jobs import run_cases
from nnunet_tf.evaluation.scoring.structures import channel_names, class_names
from nnunet_tf.evaluation.summaries.summary import Evaluation

BYTES_TO_DRAW = 12  # a voxel and channel: the image in float32, while it is read and its contrast is found
CLASSES_IN_TITLE = 4  # more than these: their mean only


@dataclass(frozen=True)
class Folders:
    """Where the files of one name lie: predictions, labels and images."""

    predictions: Path
    labels: Path
    images: Path


def worst_cases(result: Evaluation) -> list[str]:
    """Returns the names of the worst cases over all and of every class, each once, in that order."""
    listed = [*result.worst, *(each for row in result.classes for each in row.worst)]
    return list(dict.fromkeys(each.case for each in listed))


def check_images(images: Path, predictions: Path, labels: Path) -> None:
    """Raises UserError where a case that will be scored has no image: any of them may be one of the worst."""
    found = images_by_name(images)
    for pair in pair_files(predictions, labels):
        image_of(pair.name, found, images)


def save_overlays(
    target: Path,
    folders: Folders,
    result: Evaluation,
    backend: Backend = Processes(),
    on_case: Callable[[int, int, int], None] = lambda done, total, failed: None,
    trust_grid: bool = False,
) -> list[Outcome[Path]]:
    """Writes `target/case.png` for each of `worst_cases` and returns how each ended.

    Colours are label numbers as they stand in the files, of a model with regions as well. With several channels the
    first is drawn. `backend` and `on_case` are those of `evaluate`, `trust_grid` is that of
    `draw_case`. Raises UserError when a case has no image.
    """
    make_folder(target)
    refuse_clashing_names(target, worst_cases(result))
    images = images_by_name(folders.images)
    pairs = {pair.name: pair for pair in pair_files(folders.predictions, folders.labels)}
    names = {number: name for number, name in class_names(folders.predictions, folders.labels).items() if number}
    channels = channel_names(folders.predictions, folders.labels)
    names = names or {score.value: score.structure for score in result.scores}
    jobs = []
    for case in worst_cases(result):
        image = image_of(case, images, folders.images)
        arguments = (target / f"{case}.png", image, pairs[case], names, title(case, result), trust_grid, *channels[:1])
        jobs.append(Job(case, draw_case, arguments, _estimate(image, pairs[case])))
    files = [image_of(job.name, images, folders.images) for job in jobs]
    return run_cases(jobs, files, backend, on_case)


def draw_case(
    target: Path,
    image: Path,
    pair: FilePair,
    names: dict[int, str],
    heading: str,
    trust_grid: bool = False,
    channel: str = "",
) -> Path:
    """Writes the picture of one case and returns its path; raises UserError when the grids differ.

    The labels may be stored in another voxel order than the image. With `trust_grid` origin or spacing may differ.
    `channel` is the name of the image's first channel, by which CT is known.
    """
    predicted, true = open_pair(pair.prediction, pair.truth, trust_grid)
    volume = read_image((image,))
    refuse_other_grid(image, volume.source, pair.truth, true, trust_grid, "name the images with --images")
    prediction, truth = (
        numbers_on(path, label, volume.source.affine)
        for path, label in ((pair.prediction, predicted), (pair.truth, true))
    )
    look = look_of(image, volume, channel)
    save_overlay(target, volume.array[..., 0], volume.spacing, prediction, names, heading, truth, look)
    return target


def title(case: str, result: Evaluation) -> str:
    """Returns the case's name and Dice: of each class where they are few, else the mean of them."""
    scores = result.cases[case]
    known = [score for score in scores.values() if score is not None]
    mean = f"{case}: mean Dice {sum(known) / len(known):.3f}" if known else f"{case}: no Dice"
    if len(scores) > CLASSES_IN_TITLE:
        return mean
    each = (f"{name} {'-' if score is None else f'{score:.3f}'}" for name, score in scores.items())
    return f"{mean} ({', '.join(each)})" if len(scores) > 1 else mean


def images_by_name(folder: Path) -> dict[str, Path]:
    """Returns the images in a folder by the names of their files, and by those that prediction gives their scans."""
    return {case.name: case.images[0] for case in find_images(folder, channels=1)} | find_files(folder)


def image_of(case: str, images: Mapping[str, Path], folder: Path) -> Path:
    """Returns the image of a case among `images_by_name`, of several channel files the first.

    Raises UserError where `folder` has none.
    """
    image = images.get(case) or images.get(case + FIRST_CHANNEL)
    if image is None:
        raise UserError(f"{folder}: has no image named {case}; name the folder of the images with --images")
    return image


def _estimate(image: Path, pair: FilePair) -> int:
    header = read_header(image)
    return estimate_scoring(pair) + (math.prod(header.get_data_shape()) * BYTES_TO_DRAW if header else 0)
