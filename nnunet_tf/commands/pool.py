"""Pools the validation scores of the folds of a cross-validation: one table of all cases, and one of the folds."""

import argparse

from data_preprocessing.common.script import user_path
from data_preprocessing.common.text import counted
from nnunet_tf.commands.options.scores import add_files, check_files, without_others, write_scores
from nnunet_tf.commands.parser import CommandParser
from nnunet_tf.commands.types import positive_int
from nnunet_tf.evaluation.scoring.options import WORST


def add_options(parser: CommandParser) -> None:
    """Adds the options of the command."""
    parser.add_argument(
        "cross_validation", type=user_path, metavar="MODEL", help="folder of the folds, such as results/task04_3d"
    )
    add_files(parser)
    parser.add_argument("--worst", type=positive_int, default=WORST, help="cases of lowest Dice to name, per class")
    without_others(parser)


def run(options: argparse.Namespace, parser: CommandParser) -> None:
    """Prints the scores of all folds, and writes the files that are asked for."""
    check_files(options, parser)
    pool(options)


def pool(options: argparse.Namespace) -> None:
    """Prints the validation scores of all folds as one table, and one of the folds."""
    from nnunet_tf.evaluation.reports.output_files import make_folders
    from nnunet_tf.evaluation.reports.tables import print_evaluation, print_folds
    from nnunet_tf.evaluation.summaries.folds import pool_folds

    make_folders(options)
    result = pool_folds(options.cross_validation, options.worst)
    write_scores(options, result)
    print_evaluation(f"{counted(len(result.cases), 'case')} of all folds, mean ± deviation", result)
    print_folds("Folds", result.folds)
