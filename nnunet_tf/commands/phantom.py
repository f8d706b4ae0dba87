"""Writes a data set of made-up organs, to try everything on."""

import argparse

from data_preprocessing.synthetic import phantom_options
from nnunet_tf.commands.parser import CommandParser


def add_options(parser: CommandParser) -> None:
    """Adds the options of the command."""
    phantom_options.add_options(parser)


def run(options: argparse.Namespace, parser: CommandParser) -> None:
    """Writes the data set."""
    from data_preprocessing.synthetic import phantom

    phantom.run(options, parser)
