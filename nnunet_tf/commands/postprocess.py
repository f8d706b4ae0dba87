"""Decides on validation cases which components a model's predictions keep, and saves that in its folder."""

import argparse
from typing import TYPE_CHECKING

from data_preprocessing.common.script import user_path
from data_preprocessing.common.text import counted
from nnunet_tf.commands.options.scores import add_folders, add_trust, backend_of, warn_of_grids, without_others
from nnunet_tf.commands.parser import CommandParser

if TYPE_CHECKING:
    from data_preprocessing.jobs.backend import Backend


def add_options(parser: CommandParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("model", type=user_path, metavar="MODEL", help="folder of a model, or of its folds")
    add_folders(parser)
    add_trust(parser)
    parser.add_jobs()
    parser.add_backend()
    without_others(parser)


def run(options: argparse.Namespace, parser: CommandParser) -> None:
    """Prints what is decided, and writes it into the model's folder."""
    decide_postprocessing(options, backend_of(options, parser))


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
    warn_of_grids(options)
    write_postprocessing(options.model, found)
    kept = ["all foreground"] * found.keep_largest_foreground + [names[number] for number in found.keep_largest]
    print(f"Largest component only of: {', '.join(kept) or 'nothing, it would not raise the Dice'}")
    print(
        f"Mean Dice of {counted(found.cases, 'case')} {found.dice_before or 0:.4f}, with it {found.dice_after or 0:.4f}"
    )
    print(f"{options.model / POSTPROCESSING_NAME} written; predict.py applies it")
