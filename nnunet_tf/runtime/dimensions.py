"""The dimensions of the network that the options of a command are about."""

import argparse

from data_preprocessing.common.task import load_task


def set_dim(options: argparse.Namespace) -> None:
    """Puts into `options.dim`, where it was left open, what the config of `options.task` is for.

    Raises UserError where there is no such config.
    """
    if options.dim is None:
        options.dim = load_task(options.task).default_dim
