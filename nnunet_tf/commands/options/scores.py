"""Which segmentations are scored, and where the scores are written: what the commands of evaluation share."""

import argparse
import sys
from typing import TYPE_CHECKING

from data_preprocessing.common.script import program, user_path
from data_preprocessing.common.text import counted
from nnunet_tf.commands.parser import CommandParser

if TYPE_CHECKING:
    from data_preprocessing.jobs.backend import Backend
    from nnunet_tf.evaluation.summaries.summary import Evaluation, Failure


def add_folders(parser: CommandParser, required: bool = True) -> None:
    """Adds the folders to compare."""
    add = parser.add_argument
    add("--predictions", type=user_path, metavar="DIR", required=required, help="segmentations")
    add("--labels", type=user_path, metavar="DIR", required=required, help="labels of the same names")


def add_trust(parser: CommandParser) -> None:
    """Adds whether grids are believed."""
    parser.add_argument(
        "--trust-grid", action="store_true", help="accept predictions of another origin or spacing than their label"
    )


def add_json(parser: CommandParser) -> None:
    """Adds the file that takes everything."""
    parser.add_argument(
        "--json", type=user_path, metavar="FILE", help="also write all scores and their summary as JSON"
    )


def add_files(parser: CommandParser) -> None:
    """Adds the files that scores per case are written to."""
    add = parser.add_argument
    add("--csv", type=user_path, metavar="FILE", help="also write all scores, a row per case and class")
    add_json(parser)
    add("--plot", type=user_path, metavar="PNG", help="also draw a box plot of the classes")


def without_others(parser: CommandParser) -> None:
    """Leaves empty what other commands of evaluation read and write, and this one has no options of."""
    others = (
        "predictions",
        "labels",
        "images",
        "csv",
        "json",
        "plot",
        "overlays",
        "model",
        "cross_validation",
        "against",
    )
    known = {action.dest for action in parser._actions}
    parser.set_defaults(**{name: None for name in others if name not in known})


def backend_of(options: argparse.Namespace, parser: CommandParser) -> "Backend":
    """Returns where the work is done; refuses files to write that would replace what is read, or be read as images."""
    from nnunet_tf.runtime.backend import chosen_backend

    parser.check_backend(options)
    check_files(options, parser)
    return chosen_backend(options)


def check_files(options: argparse.Namespace, parser: CommandParser) -> None:
    """Refuses files to write that would replace what is read, or be taken for images."""
    from data_preprocessing.images.formats.registry import is_image
    from nnunet_tf.evaluation.reports.output_files import refuse_overwriting

    if options.plot and options.plot.suffix.lower() != ".png":
        parser.error(f"--plot {options.plot}: must be a PNG file; end its name in .png")
    for name, file in (("--csv", options.csv), ("--json", options.json)):
        if file and is_image(file):
            parser.error(f"{name} {file}: would be taken for an image by its name; end it in .{name.strip('-')}")
    refuse_overwriting(options)


def end_where_failed(failed: "dict[str, Failure]") -> None:
    """Says which cases failed and why, and exits with status 1 or 2; does nothing where none did."""
    if not failed:
        return
    for name, failure in failed.items():
        print(f"{name}: {failure.reason}", file=sys.stderr)
    print(f"{program()}: {counted(len(failed), 'case')} failed, see above; mend them", file=sys.stderr)
    sys.exit(2 if all(failure.user_error for failure in failed.values()) else 1)


def warn_of_grids(options: argparse.Namespace) -> None:
    """Says which cases --trust-grid has concerned."""
    from nnunet_tf.evaluation.scoring.folder import on_other_grids

    names = on_other_grids(options.predictions, options.labels) if options.trust_grid else []
    if names:
        told = f"{counted(len(names), 'prediction')} compared with a label on another grid ({', '.join(names)})"
        print(f"{program()}: {told}: voxel by voxel, as --trust-grid says", file=sys.stderr)


def write_scores(options: argparse.Namespace, result: "Evaluation") -> None:
    """Writes the scores to the files that are asked for."""
    from data_preprocessing.common.files import write_model
    from nnunet_tf.evaluation.reports.csv_file import write_csv

    if options.csv:
        write_csv(options.csv, result.scores)
    if options.json:
        write_model(options.json, result)
    if options.plot:
        from nnunet_tf.evaluation.reports.box_plot import save_box_plot

        save_box_plot(options.plot, result)
