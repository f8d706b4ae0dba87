"""Trains all folds of a task in turn and prints mean and deviation of their Dice."""

import argparse

from nnunet_tf.commands import train
from nnunet_tf.commands.parser import CommandParser


def add_options(parser: CommandParser) -> None:
    """Adds the options of training, of all folds in turn unless one is asked for."""
    train.add_options(parser)
    parser.set_defaults(cross_validate=True)


def run(options: argparse.Namespace, parser: CommandParser) -> None:
    """Trains every fold; prints and writes what came of them."""
    train.run(options, parser)
