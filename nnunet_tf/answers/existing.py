"""Measure and draw segmentations that are there already."""

from collections.abc import Callable
from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.dataset import Case
from data_preprocessing.dataset.scan_names import FIRST_CHANNEL
from data_preprocessing.dataset.scans import find_files, find_images
from data_preprocessing.images.checks.voxels import label_numbers
from data_preprocessing.images.image_file import load_image
from data_preprocessing.images.label_table import label_names
from data_preprocessing.images.volume_io import Volume, numbers_on, read_image
from data_preprocessing.jobs.backend import Backend
from data_preprocessing.jobs.process_pool import Job
from data_preprocessing.planning.plan import PLAN_NAME, Plan, read_plan
from nnunet_tf.answers.case_answers import PREVIEW
from nnunet_tf.answers.flags import Ranges, find_flags, read_ranges
from nnunet_tf.answers.statistics import CaseStatistics, measure_case
from nnunet_tf.answers.statistics_files import write_case
from nnunet_tf.evaluation.scoring.case import refuse_other_grid
from nnunet_tf.evaluation.scoring.folder import FilePair, estimate_scoring
from nnunet_tf.evaluation.scoring.jobs import results_and_failures, run_cases
from nnunet_tf.evaluation.scoring.structures import Structure, channel_names, class_structures, find_structures
from nnunet_tf.evaluation.summaries.summary import Failure
from nnunet_tf.inference.models.folder import fold_folders

READING = 4  # times what scoring takes, for the scan in float32 beside the labels


def measure_folder(
    predictions: Path,
    images: Path,
    output: Path,
    backend: Backend,
    model: Path | None = None,
    preview: bool = False,
    on_case: Callable[[int, int, int], None] = lambda done, total, failed: None,
) -> tuple[list[CaseStatistics], dict[str, Failure]]:
    """Writes the statistics of every segmentation below `output`; returns them, and which failed and why.

    Flags compare with the plan and the ranges of `model`. Raises UserError where all fail, or one has no scan.
    """
    structures = find_structures(predictions, predictions)
    known = structures.scored if structures else None
    channels = channel_names(predictions, predictions)
    plan, ranges = (_plan(model), read_ranges(model)) if model else (None, None)
    pairs = _pairs(predictions, images, len(channels))
    jobs = [
        Job(
            case.name,
            measure_files,
            (path, case, known, channels, output, plan, ranges, preview),
            READING * estimate_scoring(FilePair(case.name, path, case.images[0])),
        )
        for path, case in pairs
    ]
    files = [file for path, case in pairs for file in (path, *case.images)]
    results, failures = results_and_failures(run_cases(jobs, files, backend, on_case))
    return list(results.values()), failures


def measure_files(
    label: Path,
    case: Case,
    structures: tuple[Structure, ...] | None,
    channels: tuple[str, ...],
    output: Path,
    plan: Plan | None,
    ranges: Ranges | None,
    preview: bool,
) -> CaseStatistics:
    """Measures one case, writes its files and returns its statistics.

    Without `structures` these are the label numbers in the file, by the names in its header. Raises UserError where
    the two lie on different grids.
    """
    from nnunet_tf.evaluation.reports.display import has_no_spacing

    image = load_image(label, as_label=True)
    volume = read_image(case.images, finite=False)
    refuse_other_grid(label, image, case.images[0], volume.source, False, "name the scans with --images")
    labels = numbers_on(label, image, volume.source.affine)
    if structures is None:
        names = label_names(image.header)
        numbers = sorted(label_numbers(labels) - {0})
        structures = class_structures({number: names.get(number, f"label {number}") for number in numbers}).scored
    named = channels if len(channels) == volume.array.shape[3] else tuple(map(_numbered, range(volume.array.shape[3])))
    measured = measure_case(case.name, labels, volume, structures, named, has_no_spacing(volume.source))
    measured.flags = find_flags(measured, plan, ranges)
    write_case(output, measured)
    if preview:
        _draw(output, case, volume, labels, structures, named[0])
    return measured


def _draw(output: Path, case: Case, volume: Volume, labels, structures: tuple[Structure, ...], channel: str) -> None:  # type: ignore[no-untyped-def]
    from nnunet_tf.evaluation.reports.display import look_of
    from nnunet_tf.evaluation.reports.overlay import save_overlay

    names = {each.value: each.name for each in structures}
    look = look_of(case.images[0], volume, channel)
    path = output / PREVIEW / f"{case.name}.png"
    save_overlay(path, volume.array[..., 0], volume.spacing, labels, names, case.name, look=look)


def _pairs(predictions: Path, images: Path, channels: int) -> list[tuple[Path, Case]]:
    """Each segmentation, and its scan by name."""
    scans = {case.name: case for case in find_images(images, max(1, channels), "name the scans with --images")}
    files = find_files(images)
    pairs = []
    for name, path in find_files(predictions).items():
        scan = scans.get(name) or scans.get(name.removesuffix(FIRST_CHANNEL))
        if scan is None and name in files:
            scan = Case(name, (files[name],))
        if scan is None:
            raise UserError(f"{path}: has no scan of that name in {images}; name the right folder with --images")
        pairs.append((path, Case(name, scan.images)))
    return pairs


def _numbered(index: int) -> str:
    return f"channel {index}"


def _plan(model: Path) -> Plan:
    folders = fold_folders(model)
    home = model if (model / PLAN_NAME).is_file() or not folders else folders[0]
    return read_plan(home, "name a model's folder with --model")
