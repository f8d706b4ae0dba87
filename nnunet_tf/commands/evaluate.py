"""Scores segmentations against labels: Dice and surface distances of each structure."""

import argparse
from typing import TYPE_CHECKING

from data_preprocessing.common.script import user_path
from data_preprocessing.common.text import counted
from nnunet_tf.commands.options.scores import (
    add_files,
    add_folders,
    add_trust,
    backend_of,
    end_where_failed,
    warn_of_grids,
    without_others,
    write_scores,
)
from nnunet_tf.commands.parser import CommandParser
from nnunet_tf.commands.types import non_negative_float, positive_int
from nnunet_tf.evaluation.scoring.options import TOLERANCE_MM, WORST

if TYPE_CHECKING:
    from data_preprocessing.jobs.backend import Backend
    from nnunet_tf.evaluation.summaries.summary import Evaluation, Failure


def add_options(parser: CommandParser) -> None:
    """Adds the options of the command."""
    add_folders(parser)
    add_files(parser)
    add_scoring_options(parser)
    add_trust(parser)
    parser.add_jobs()
    parser.add_backend()
    without_others(parser)


def add_scoring_options(parser: CommandParser) -> None:
    """Adds what is measured and drawn."""
    add = parser.add_argument
    add("--overlays", type=user_path, metavar="DIR", help="also draw the worst cases; needs --images")
    add("--images", type=user_path, metavar="DIR", help="the scans of the same names, to draw")
    add("--worst", type=positive_int, default=WORST, help="cases of lowest Dice to name, per class")
    add("--tolerance-mm", type=non_negative_float, default=TOLERANCE_MM, help="of NSD")
    add("--surface", action=argparse.BooleanOptionalAction, default=True, help="measure NSD, HD95 and ASSD")
    add("--against", type=user_path, metavar="DIR", help="also compare with other segmentations of the same cases")
    add("--count-absent", action="store_true", help="Dice and NSD of a class absent in both are 1, as NVIDIA has it")
    add("--include-background", action="store_true", help="score label 0 as a structure too")


def run(options: argparse.Namespace, parser: CommandParser) -> None:
    """Prints the scores, and writes the files that are asked for."""
    check_pictures(options, parser)
    result, failed = score(options, backend_of(options, parser))
    _show(options, result)
    end_where_failed(failed)


def check_pictures(options: argparse.Namespace, parser: CommandParser) -> None:
    """Refuses pictures that cannot be drawn, or would be taken for more of the images that are read."""
    from nnunet_tf.evaluation.reports.output_files import refuse_among_images

    if options.overlays and not options.images:
        parser.error("--overlays draws on scans; name their folder with --images")
    if options.overlays and options.overlays.is_file():
        parser.error(f"--overlays {options.overlays}: is a file; name a folder")
    refuse_among_images(parser, options)
    if options.images and not options.overlays:
        parser.error("--images are the scans that --overlays draws on; name its folder, or leave --images out")


def score(options: argparse.Namespace, backend: "Backend") -> "tuple[Evaluation, dict[str, Failure]]":
    """Returns the scores of all cases, which are written and drawn as asked for, and why some failed."""
    from nnunet_tf.evaluation.reports.output_files import make_folders
    from nnunet_tf.evaluation.reports.worst_cases import check_images
    from nnunet_tf.evaluation.scoring.folder import evaluate
    from nnunet_tf.evaluation.scoring.options import ScoringOptions
    from nnunet_tf.evaluation.summaries.comparison import compare
    from nnunet_tf.runtime.progress import track

    if options.overlays:
        check_images(options.images, options.predictions, options.labels)
    make_folders(options)
    what = ScoringOptions(
        options.tolerance_mm, options.surface, options.count_absent, options.include_background, options.trust_grid
    )
    with track("Scoring", total=None, unit="cases") as tracker:
        result = evaluate(options.predictions, options.labels, backend, what, options.worst, tracker.update)
    failed = dict(result.failed)
    if options.against:
        with track("Scoring the others", total=None, unit="cases") as tracker:
            other = evaluate(
                options.against, options.labels, backend, what, options.worst, tracker.update, options.predictions
            )
        result = result.model_copy(update={"against": compare(result.scores, other.scores)})
        failed |= {f"{options.against}: {name}": failure for name, failure in other.failed.items()}
    write_scores(options, result)
    drawn = draw(options, result, backend) if options.overlays else {}
    return result, failed | drawn


def _show(options: argparse.Namespace, result: "Evaluation") -> None:
    from nnunet_tf.evaluation.reports.tables import print_comparison, print_evaluation

    if result.classes:
        print_evaluation(f"{counted(len(result.cases), 'case')}, mean ± deviation", result)
    else:
        print("Nothing to score: the files hold no number but 0, which --include-background scores")
    if result.against:
        print_comparison(f"Dice here and in {options.against}", result.against)
    if result.unpredicted:
        print(f"Without prediction, not scored: {', '.join(result.unpredicted)}")
    warn_of_grids(options)
    if options.overlays:
        print(f"Pictures in {options.overlays}")


def draw(options: argparse.Namespace, result: "Evaluation", backend: "Backend") -> "dict[str, Failure]":
    """Draws the worst cases; returns those that failed, and why."""
    from nnunet_tf.evaluation.reports.worst_cases import Folders, save_overlays
    from nnunet_tf.evaluation.scoring.jobs import failures_of
    from nnunet_tf.runtime.progress import track

    folders = Folders(options.predictions, options.labels, options.images)
    with track("Drawing", total=None, unit="cases") as tracker:
        outcomes = save_overlays(options.overlays, folders, result, backend, tracker.update, options.trust_grid)
    return failures_of(outcomes)
