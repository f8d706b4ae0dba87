"""Scores segmentations against labels; or tells defective images, finds a model's postprocessing, or pools folds."""

import argparse
import sys
from typing import TYPE_CHECKING

from data_preprocessing.common.script import user_path
from data_preprocessing.common.text import counted
from nnunet_tf.evaluation.scoring.options import TOLERANCE_MM, WORST
from nnunet_tf.runtime.command_line import (
    CommandParser,
    non_negative_float,
    positive_int,
    run,
)

if TYPE_CHECKING:
    from data_preprocessing.jobs.backend import Backend
    from nnunet_tf.evaluation.summaries.summary import Evaluation, Failure


def main() -> None:
    """Parses the command line and does one of the four."""
    parser = CommandParser(description=__doc__)
    parser.add_argument("--predictions", type=user_path, metavar="DIR", help="segmentations")
    parser.add_argument("--labels", type=user_path, metavar="DIR", help="labels of the same names")
    parser.add_argument("--csv", type=user_path, metavar="FILE", help="also write all scores, a row a case and class")
    parser.add_argument(
        "--json", type=user_path, metavar="FILE", help="also write all scores and their summary as JSON"
    )
    parser.add_argument("--plot", type=user_path, metavar="PNG", help="also draw a box plot of the classes")
    parser.add_argument("--overlays", type=user_path, metavar="DIR", help="also draw the worst cases; needs --images")
    parser.add_argument("--images", type=user_path, metavar="DIR", help="the scans of the same names, to draw")
    parser.add_argument("--worst", type=positive_int, default=WORST, help="cases of lowest Dice to name, a class")
    parser.add_argument("--tolerance-mm", type=non_negative_float, default=TOLERANCE_MM, help="of NSD")
    parser.add_argument(
        "--surface", action=argparse.BooleanOptionalAction, default=True, help="measure NSD, HD95 and ASSD"
    )
    parser.add_argument(
        "--count-absent", action="store_true", help="Dice and NSD of a class absent in both are 1, as NVIDIA has it"
    )
    parser.add_argument("--include-background", action="store_true", help="score label 0 as a structure too")
    parser.add_argument(
        "--trust-grid", action="store_true", help="accept predictions of another origin or spacing than their label"
    )
    parser.add_jobs()
    parser.add_backend()
    parser.add_argument(
        "--cross-validation",
        type=user_path,
        metavar="DIR",
        help="instead: pool the folds in DIR, such as results/task04_3d",
    )
    parser.add_argument(
        "--detection",
        action="store_true",
        help="instead: defect yes or no in each image, by the probabilities kept beside --predictions",
    )
    parser.add_argument(
        "--find-postprocessing", action="store_true", help="instead: decide on --model's postprocessing and save it"
    )
    parser.add_argument("--model", type=user_path, metavar="DIR", help="folder of a model, or of its folds")
    options = parser.parse_args()
    parser.check_backend(options)
    _check(parser, options)
    from nnunet_tf.evaluation.reports.output_files import refuse_overwriting

    refuse_overwriting(options)
    if options.cross_validation:
        pool(options)
        return
    from nnunet_tf.runtime.backend import chosen_backend

    backend = chosen_backend(options)
    if options.detection:
        tell_defects(options, backend)
    elif options.find_postprocessing:
        decide_postprocessing(options, backend)
    else:
        score(options, backend)


def score(options: argparse.Namespace, backend: "Backend") -> None:
    """Scores all cases and says what came of it; exits with status 1 or 2 when cases failed."""
    from nnunet_tf.evaluation.reports.output_files import make_folders
    from nnunet_tf.evaluation.reports.tables import print_evaluation
    from nnunet_tf.evaluation.reports.worst_cases import check_images
    from nnunet_tf.evaluation.scoring.folder import evaluate
    from nnunet_tf.evaluation.scoring.options import ScoringOptions
    from nnunet_tf.runtime.progress import track

    if options.overlays:
        check_images(options.images, options.predictions, options.labels)
    make_folders(options)
    what = ScoringOptions(
        options.tolerance_mm, options.surface, options.count_absent, options.include_background, options.trust_grid
    )
    with track("Scoring", total=None, unit="cases") as tracker:
        result = evaluate(options.predictions, options.labels, backend, what, options.worst, tracker.update)
    _write(options, result)
    if result.classes:
        print_evaluation(f"{counted(len(result.cases), 'case')}, mean ± deviation", result)
    else:
        print("Nothing to score: the files hold no number but 0, which --include-background scores")
    if result.unpredicted:
        print(f"Without prediction, not scored: {', '.join(result.unpredicted)}")
    _warn_of_grids(options)
    failed = dict(result.failed)
    if options.overlays:
        failed |= draw(options, result, backend)
    _end_where_failed(failed)


def draw(options: argparse.Namespace, result: "Evaluation", backend: "Backend") -> "dict[str, Failure]":
    """Draws the worst cases; returns those that failed, and why."""
    from nnunet_tf.evaluation.reports.worst_cases import Folders, save_overlays
    from nnunet_tf.evaluation.scoring.jobs import failures_of
    from nnunet_tf.runtime.progress import track

    folders = Folders(options.predictions, options.labels, options.images)
    with track("Drawing", total=None, unit="cases") as tracker:
        outcomes = save_overlays(options.overlays, folders, result, backend, tracker.update, options.trust_grid)
    drawn = sum(outcome.failure is None for outcome in outcomes)
    print(f"{counted(drawn, 'case')} drawn in {options.overlays}")
    return failures_of(outcomes)


def pool(options: argparse.Namespace) -> None:
    """Prints the validation scores of all folds as one table, and one of the folds."""
    from nnunet_tf.evaluation.reports.output_files import make_folders
    from nnunet_tf.evaluation.reports.tables import print_evaluation, print_folds
    from nnunet_tf.evaluation.summaries.folds import pool_folds

    make_folders(options)
    result = pool_folds(options.cross_validation, options.worst)
    _write(options, result)
    print_evaluation(f"{counted(len(result.cases), 'case')} of all folds, mean ± deviation", result)
    print_folds("Folds", result.folds)


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
    _end_where_failed(result.failed)


def decide_postprocessing(options: argparse.Namespace, backend: "Backend") -> None:
    """Decides on validation cases which components the model's predictions keep, and saves that in its folder."""
    from data_preprocessing.common.errors import UserError
    from nnunet_tf.evaluation.find_postprocessing import find_postprocessing
    from nnunet_tf.evaluation.scoring.structures import comparable_names
    from nnunet_tf.inference.models.folder import open_models
    from nnunet_tf.inference.postprocessing.settings import POSTPROCESSING_NAME, write_postprocessing

    if options.model.is_file():
        raise UserError(f"{options.model}: is a file; name the model's folder with --model, and package that again")
    names = comparable_names(open_models(options.model)[0].plan)
    found = find_postprocessing(options.predictions, options.labels, names, backend, options.trust_grid)
    _warn_of_grids(options)
    write_postprocessing(options.model, found)
    kept = ["all foreground"] * found.keep_largest_foreground + [names[number] for number in found.keep_largest]
    print(f"Largest component only of: {', '.join(kept) or 'nothing, it would not raise the Dice'}")
    print(
        f"Mean Dice of {counted(found.cases, 'case')} {found.dice_before or 0:.4f}, with it {found.dice_after or 0:.4f}"
    )
    print(f"{options.model / POSTPROCESSING_NAME} written; predict.py applies it")


def _check(parser: CommandParser, options: argparse.Namespace) -> None:
    """Refuses options that do not go together."""
    from data_preprocessing.images.formats.registry import is_image
    from nnunet_tf.evaluation.reports.output_files import refuse_among_images

    if options.plot and options.plot.suffix.lower() != ".png":
        parser.error(f"--plot {options.plot}: is to be a PNG file; end its name in .png")
    for name, file in (("--csv", options.csv), ("--json", options.json)):
        if file and is_image(file):
            parser.error(f"{name} {file}: would be taken for an image by its name; end it in .{name.strip('-')}")
    folders = {"--predictions": options.predictions, "--labels": options.labels}
    if options.cross_validation:
        given = [name for name, folder in folders.items() if folder]
        given += ["--backend"] * (options.backend != "processes")
        given += ["--find-postprocessing"] * options.find_postprocessing + ["--overlays"] * bool(options.overlays)
        given += ["--detection"] * options.detection + ["--include-background"] * options.include_background
        given += ["--trust-grid"] * options.trust_grid
        if given:
            parser.error(f"{given[0]} does not go with --cross-validation, which reads what training has scored")
        return
    missing = [name for name, folder in folders.items() if not folder]
    if missing:
        parser.error(f"{' and '.join(missing)} missing: name the folders to compare")
    others = ("csv", "plot", "overlays", "find_postprocessing", "include_background", "trust_grid")
    given = [f"--{name.replace('_', '-')}" for name in others if options.detection and getattr(options, name)]
    given += ["--backend"] * (options.detection and options.backend != "processes")
    if given:
        parser.error(f"{given[0]} does not go with --detection, which writes --json and nothing else")
    of_scoring = ("csv", "json", "plot", "overlays", "include_background", "count_absent")
    given = [f"--{name.replace('_', '-')}" for name in of_scoring if getattr(options, name)]
    if options.find_postprocessing and given:
        parser.error(f"{given[0]} does not go with --find-postprocessing, which writes into the model's folder only")
    if options.overlays and not options.images:
        parser.error("--overlays draws on scans; name their folder with --images")
    if options.overlays and options.overlays.is_file():
        parser.error(f"--overlays {options.overlays}: is a file; name a folder")
    refuse_among_images(parser, options)
    if options.images and not options.overlays:
        parser.error("--images are the scans that --overlays draws on; name its folder, or leave --images out")
    if options.model and not options.find_postprocessing:
        parser.error("--model belongs to --find-postprocessing; add that, or leave --model out")
    if options.find_postprocessing and not options.model:
        parser.error("--find-postprocessing saves into a model's folder; name it with --model")


def _end_where_failed(failed: "dict[str, Failure]") -> None:
    """Says which cases failed and why, and exits with status 1 or 2; does nothing where none did."""
    if not failed:
        return
    for name, failure in failed.items():
        print(f"{name}: {failure.reason}", file=sys.stderr)
    print(f"evaluate.py: {counted(len(failed), 'case')} failed, see above; mend them", file=sys.stderr)
    sys.exit(2 if all(failure.user_error for failure in failed.values()) else 1)


def _warn_of_grids(options: argparse.Namespace) -> None:
    """Says which cases --trust-grid has concerned."""
    from nnunet_tf.evaluation.scoring.folder import on_other_grids

    names = on_other_grids(options.predictions, options.labels) if options.trust_grid else []
    if names:
        told = f"{counted(len(names), 'prediction')} compared with a label on another grid ({', '.join(names)})"
        print(f"evaluate.py: {told}: voxel by voxel, as --trust-grid says", file=sys.stderr)


def _write(options: argparse.Namespace, result: "Evaluation") -> None:
    from data_preprocessing.common.files import write_model
    from nnunet_tf.evaluation.reports.csv_file import write_csv

    if options.csv:
        write_csv(options.csv, result.scores)
    if options.json:
        write_model(options.json, result)
    if options.plot:
        from nnunet_tf.evaluation.reports.box_plot import save_box_plot

        save_box_plot(options.plot, result)


if __name__ == "__main__":
    run(main)
