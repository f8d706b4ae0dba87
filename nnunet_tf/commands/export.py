"""Export a trained model for other programs, with what comes before and after the network."""

import argparse
from typing import get_args

from data_preprocessing.common.script import user_path
from nnunet_tf.choices import ExportFormat
from nnunet_tf.commands.parser import CommandParser
from nnunet_tf.commands.types import fold_list


def add_options(parser: CommandParser) -> None:
    """Adds the arguments of the command."""
    add = parser.add_argument
    add("model", type=user_path, metavar="MODEL", help="folder of a model or of its folds, or model.zip")
    add("target", type=user_path, metavar="DIR", help="new folder for the network and what belongs to it")
    add("--format", choices=get_args(ExportFormat), default="onnx", help="format of the network")
    add("--fold", type=fold_list, metavar="FOLDS", help="such as 0, or 0,1,2 (default: all folds of the model)")


def run(options: argparse.Namespace, parser: CommandParser) -> None:
    """Exports the model."""
    from nnunet_tf.export.export import export
    from nnunet_tf.inference.engines.choice import check_modules

    check_modules(f"--format {options.format}", options.format)
    names = export(options.model, options.target, options.format, options.fold)
    print(f"{options.target}: {', '.join(names)}")
