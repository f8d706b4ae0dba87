"""Tells defective images: yes or no for each, by the probabilities kept beside the predictions, over thresholds."""

import argparse
from typing import TYPE_CHECKING

from nnunet_tf.commands.options.scores import add_folders, add_json, backend_of, end_where_failed, without_others
from nnunet_tf.commands.parser import CommandParser

if TYPE_CHECKING:
    from data_preprocessing.jobs.backend import Backend


def add_options(parser: CommandParser) -> None:
    """Adds the options of the command."""
    add_folders(parser)
    add_json(parser)
    parser.add_jobs()
    parser.set_defaults(backend="processes", scheduler=None)
    without_others(parser)


def run(options: argparse.Namespace, parser: CommandParser) -> None:
    """Prints how many images are rightly and wrongly called defective."""
    tell_defects(options, backend_of(options, parser))


def tell_defects(options: argparse.Namespace, backend: "Backend") -> None:
    """Prints how many images are rightly and wrongly called defective, over thresholds on the probability.

    Exits with status 1 or 2 when cases failed.
    """
    from data_preprocessing.common.files import write_model
    from nnunet_tf.evaluation.detection import detect
    from nnunet_tf.evaluation.reports.output_files import make_folders
    from nnunet_tf.evaluation.reports.tables import print_detection
    from nnunet_tf.runtime.progress import track

    make_folders(options)
    with track("Scoring", total=None, unit="images") as tracker:
        result = detect(options.predictions, options.labels, backend, tracker.update)
    if options.json:
        write_model(options.json, result)
    defective = sum(image.defect for image in result.images)
    print_detection(f"{len(result.images)} images, {defective} with a defect", result)
    end_where_failed(result.failed)
