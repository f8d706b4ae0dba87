"""Options that several commands share, and how a user's mistake becomes one line."""

import argparse
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from data_preprocessing.defaults import FOLDS
from data_preprocessing.errors import UserError

USER_ERROR_STATUS = 2
INTERRUPTED_STATUS = 130
BROKEN_PIPE_STATUS = 141


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the defaults, where there is one to show."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        silent = action.default is None or action.default is False
        return action.help if silent else super()._get_help_string(action)


class CommandParser(argparse.ArgumentParser):
    """A parser whose complaints are one line, and whose help shows the defaults."""

    def __init__(self, description: str) -> None:
        super().__init__(description=description, formatter_class=_HelpFormatter)

    def error(self, message: str) -> NoReturn:
        """Prints the one line and exits with status 2."""
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        sys.exit(USER_ERROR_STATUS)

    def add_task(self) -> None:
        """Adds `--task` and `--dim`."""
        self.add_argument("--task", default="01", help="number of a config in configs/, or a config file's path")
        self.add_argument("--dim", type=int, choices=(2, 3), default=3, help="2D or 3D network")

    def add_fold(self) -> None:
        """Adds `--fold`."""
        self.add_argument("--fold", type=whole_number, default=0, help="cross-validation fold, the first is 0")

    def add_folds(self) -> None:
        """Adds `--nfolds`."""
        self.add_argument("--nfolds", type=folds, default=FOLDS, help="folds of the cross-validation")

    def add_folder(self, name: str, content: str) -> None:
        """Adds `--data`, `--shards` or `--results`, which default to the folder of that name."""
        self.add_argument(f"--{name}", type=Path, default=Path(name), metavar="DIR", help=f"folder of {content}")

    def add_device(self) -> None:
        """Adds `--device` and `--amp`."""
        self.add_argument(
            "--device", choices=("auto", "cpu", "gpu"), default="auto", help="auto: a GPU if there is one"
        )
        self.add_argument("--amp", action="store_true", help="mixed precision: float16 on a GPU, bfloat16 on a CPU")


def whole_number(text: str) -> int:
    """Returns a whole number, 0 or more, from the command line."""
    return _at_least(text, 0)


def positive_int(text: str) -> int:
    """Returns a whole number above 0 from the command line."""
    return _at_least(text, 1)


def folds(text: str) -> int:
    """Returns a number of folds, 2 or more, from the command line."""
    return _at_least(text, 2)


def positive_float(text: str) -> float:
    """Returns a number above 0 from the command line."""
    return _float_between(text, math.nextafter(0, 1), sys.float_info.max, "a number above 0")


def overlap(text: str) -> float:
    """Returns the share of a window that its neighbour covers, from 0 to 0.95, from the command line."""
    return _float_between(text, 0, 0.95, "a share from 0 to 0.95")


def _at_least(text: str, smallest: int) -> int:
    if not text.isdecimal() or int(text) < smallest:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {smallest} on")
    return int(text)


def _float_between(text: str, low: float, high: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value


def available_cores() -> int:
    """Returns how many processors this process may run on."""
    return len(os.sched_getaffinity(0))


def run(command: Callable[[], None]) -> None:
    """Runs a command: a UserError is printed as one line and ends it with status 2; a bug keeps its traceback."""
    try:
        command()
        sys.stdout.flush()
    except UserError as error:
        name = Path(sys.argv[0]).name
        print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(USER_ERROR_STATUS)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED_STATUS)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE_STATUS)
