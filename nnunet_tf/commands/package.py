"""Packs a trained model, or all its folds, into one file that predict.py takes as --model on any machine."""

import argparse

from data_preprocessing.common.script import user_path
from nnunet_tf.commands.parser import CommandParser


def add_options(parser: CommandParser) -> None:
    """Adds the arguments of the command."""
    add = parser.add_argument
    add("model", type=user_path, metavar="MODEL", help="such as results/task04_3d/fold_0, or results/task04_3d")
    add("target", type=user_path, metavar="FILE", help="such as model.zip")


def run(options: argparse.Namespace, parser: CommandParser) -> None:
    """Packs the model."""
    from nnunet_tf.inference.models.packaging import package

    package(options.model, options.target)
    print(f"{options.target}: {options.target.stat().st_size / 2**20:.1f} MiB")
