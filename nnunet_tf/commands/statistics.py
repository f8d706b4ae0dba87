"""Measures segmentations that are there already: volume, intensities, place and components of each structure."""

import argparse
import sys
from typing import TYPE_CHECKING

from data_preprocessing.common.script import user_path
from data_preprocessing.common.text import counted
from nnunet_tf.commands.options.scores import end_where_failed
from nnunet_tf.commands.parser import CommandParser

if TYPE_CHECKING:
    from pathlib import Path


def add_options(parser: CommandParser) -> None:
    """Adds the options of the command."""
    add = parser.add_argument
    add("--predictions", type=user_path, metavar="DIR", required=True, help="segmentations, or labels")
    add("--images", type=user_path, metavar="DIR", required=True, help="the scans of the same names")
    add("--output", type=user_path, metavar="DIR", help="folder of the tables; else that of the segmentations")
    add("--preview", action="store_true", help="also a picture of each case")
    add("--model", type=user_path, metavar="DIR", help="folder of a model, or of its folds, whose ranges flag cases")
    add(
        "--save-ranges",
        action="store_true",
        help="instead of flagging cases: keep what they have in --model, for predictions to be compared with",
    )
    parser.add_jobs()
    parser.add_backend()


def run(options: argparse.Namespace, parser: CommandParser) -> None:
    """Writes the tables, and says which cases a person should look at."""
    if options.save_ranges and not options.model:
        parser.error("--save-ranges keeps the ranges in a model's folder; name it with --model")
    parser.check_backend(options)
    from data_preprocessing.common.errors import UserError
    from data_preprocessing.common.files import make_folder
    from data_preprocessing.common.inputs_kept import Inputs
    from nnunet_tf.answers.existing import measure_folder
    from nnunet_tf.answers.flags import ranges_of, write_ranges
    from nnunet_tf.commands.options.answers import summarize_statistics
    from nnunet_tf.inference.models.folder import RANGES_NAME
    from nnunet_tf.runtime.backend import chosen_backend
    from nnunet_tf.runtime.progress import track

    if options.model and not options.model.is_dir():
        raise UserError(f"{options.model}: is no folder; name that of a model with --model")
    output: Path = options.output or options.predictions
    if output != options.predictions:
        inputs = Inputs(options.images.iterdir() if options.images.is_dir() else [])
        inputs.refuse_folder("--output", output, "holds the scans themselves")
    make_folder(output)
    model = None if options.save_ranges else options.model
    with track("Measuring", total=None, unit="cases") as tracker:
        cases, failed = measure_folder(
            options.predictions, options.images, output, chosen_backend(options), model, options.preview, tracker.update
        )
    named = [] if options.save_ranges else [case.case for case in cases]
    summarize_statistics(output, named, compared=model is not None)
    if options.save_ranges:
        write_ranges(options.model, ranges_of(cases))
        print(
            f"ranges of {counted(len(cases), 'case')} in {options.model / RANGES_NAME}; predict --statistics uses them"
        )
    sys.stdout.flush()
    end_where_failed(failed)
