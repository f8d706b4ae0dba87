"""`nnunet-tf`: every command of the project, each with a help of its own."""

import difflib
import sys
from importlib import import_module
from types import ModuleType

from data_preprocessing.common.errors import UserError
from nnunet_tf.commands.start import run, run_command
from nnunet_tf.version import VERSION

PROGRAM = "nnunet-tf"
COMMANDS = {
    "dataset": "make a data set of your own files, in folders of any layout",
    "phantom": "write a made-up data set, to try everything on",
    "verify": "check a data set before any work is done on it",
    "plan": "write the config of a data set that has none",
    "preprocess": "training images to shards",
    "train": "shards to a model folder",
    "cross-validate": "train all folds of a task in turn",
    "predict": "segment scans with a trained model",
    "statistics": "measure segmentations: volumes, intensities, places",
    "report": "one HTML file about segmentations, to open anywhere",
    "evaluate": "score segmentations against labels",
    "pool": "pool the validation scores of all folds",
    "detect": "tell defective images by their probabilities",
    "postprocess": "decide which components a model's predictions keep",
    "package": "pack a model, or all its folds, into one file",
    "export": "export a model to ONNX, OpenVINO or TensorFlow",
    "benchmark": "time a training step or prediction",
}


def main() -> None:
    """Runs the command that stands first on the command line."""
    run(lambda: _main(sys.argv[1:]))


def _main(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
    elif words[0] == "--version":
        print(f"{PROGRAM} {VERSION}")
    else:
        run_command(_module(words[0]), words[1:], f"{PROGRAM} {words[0]}")


def _module(name: str) -> ModuleType:
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        remedy = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(COMMANDS)}"
        raise UserError(f"{name}: is no command; {remedy}")
    return import_module(f"nnunet_tf.commands.{name.replace('-', '_')}")


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {PROGRAM} COMMAND [options]",
            "",
            "Volumes in, a trained U-Net and segmentations out.",
            "",
            *lines,
            "",
            f"{PROGRAM} COMMAND --help: the options of one; {PROGRAM} --version: its version",
        ]
    )
