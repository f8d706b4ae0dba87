"""Options that several commands share, and how a user's mistake becomes one line."""

import argparse
import math
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from data_preprocessing.common.defaults import AXES, FOLDS, known_axes
from data_preprocessing.common.errors import UserError
from data_preprocessing.common.script import USER_ERROR_STATUS, accept_all_signs, print_user_error, user_path
from nnunet_tf.choices import FoldName

FAILURE_STATUS = 1
INTERRUPTED_STATUS = 130
TERMINATED_STATUS = 143
LARGEST_OVERLAP = 0.95
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

    def given(self) -> set[str]:
        """Returns the names of the options that stand on the command line, such as "n_jobs"."""
        absent = object()
        names = {action.dest: absent for action in self._actions}
        parsed = vars(self.parse_args(namespace=argparse.Namespace(**names)))
        return {name for name in names if parsed[name] is not absent}

    def refuse_given(self, names: Iterable[str], reason: str) -> None:
        """Says of the first of the options that is given, such as "n_jobs", what `reason` does."""
        given = self.given()
        for name in names:
            if name in given:
                self.error(f"--{name.replace('_', '-')} {reason}")

    def add_task(self) -> None:
        """Adds `--task` and `--dim`, which `set_dim` fills in."""
        self.add_argument("--task", default="01", help="number of a config in configs/, or a config file's path")
        dim = "2D or 3D network; else 3, or 2 where the config has a 2D patch only"
        self.add_argument("--dim", type=int, choices=(2, 3), help=dim)

    def add_fold(self, all_means: str) -> None:
        """Adds `--fold`; `all_means` is what "all" does."""
        self.add_argument("--fold", type=fold, default=0, help=f"cross-validation fold, the first is 0; {all_means}")

    def add_folds(self) -> None:
        """Adds `--nfolds`."""
        self.add_argument("--nfolds", type=folds, default=FOLDS, help="folds of the cross-validation")

    def add_folder(self, name: str, content: str) -> None:
        """Adds `--data`, `--shards` or `--results`, which default to the folder of that name."""
        self.add_argument(f"--{name}", type=user_path, default=Path(name), metavar="DIR", help=f"folder of {content}")

    def add_device(self) -> None:
        """Adds `--device` and `--amp`."""
        self.add_argument(
            "--device", choices=("auto", "cpu", "gpu"), default="auto", help="auto: a GPU if there is one"
        )
        mixed = "mixed precision: float16 on a GPU, bfloat16 on a processor with instructions for it"
        self.add_argument("--amp", action="store_true", help=mixed)

    def add_jobs(self) -> None:
        """Adds `--n-jobs` and `--memory`, what `--backend processes` may use of this machine."""
        self.add_argument("--n-jobs", type=positive_int, default=available_cores(), help="worker processes")
        self.add_argument(
            "--memory", type=positive_float, metavar="GIB", help="for all of them; else 80%% of what is free"
        )

    def add_backend(self) -> None:
        """Adds `--backend` and `--scheduler`, which `check_backend` looks at."""
        self.add_argument(
            "--backend",
            choices=("processes", "dask"),
            default="processes",
            help="dask: cases go to a cluster's workers",
        )
        self.add_argument("--scheduler", metavar="ADDRESS", help="of --backend dask, such as node1:8786")

    def check_backend(self, options: argparse.Namespace) -> None:
        """Refuses options that do not go with `--backend`; on a cluster all paths become absolute, for its workers."""
        if options.backend == "processes":
            if options.scheduler:
                self.error("--scheduler belongs to --backend dask; add that")
            return
        if not options.scheduler:
            self.error("--backend dask hands cases to a scheduler; name it with --scheduler, such as node1:8786")
        self.refuse_given(("n_jobs", "memory"), "is for --backend processes; on a cluster its workers decide")
        for name, value in vars(options).items():
            if isinstance(value, Path):
                setattr(options, name, value.absolute())
            elif isinstance(value, list):
                setattr(options, name, [each.absolute() if isinstance(each, Path) else each for each in value])


def whole_number(text: str) -> int:
    """Returns a whole number, 0 or more, from the command line."""
    return _at_least(text, 0)


def fold(text: str) -> FoldName:
    """Returns the number of a fold, or "all", from the command line."""
    return "all" if text == "all" else whole_number(text)


def positive_int(text: str) -> int:
    """Returns a whole number above 0 from the command line."""
    return _at_least(text, 1)


def folds(text: str) -> int:
    """Returns a number of folds, 2 or more, from the command line."""
    return _at_least(text, 2)


def positive_float(text: str) -> float:
    """Returns a number above 0 from the command line."""
    return _float_between(text, math.nextafter(0, 1), sys.float_info.max, "a number above 0")


def non_negative_float(text: str) -> float:
    """Returns a number, 0 or more, from the command line."""
    return _float_between(text, 0, sys.float_info.max, "a number from 0 on")


def factor(text: str) -> float:
    """Returns a number above 0, at most 1, from the command line."""
    return _float_between(text, math.nextafter(0, 1), 1, "a number above 0, at most 1")


def width(text: str) -> int:
    """Returns a number of channels, 2 or more, from the command line."""
    return _at_least(text, 2)


def share(text: str) -> float:
    """Returns a number from 0 to below 1 from the command line."""
    return _float_between(text, 0, math.nextafter(1, 0), "a number from 0 to below 1")


def axes(text: str) -> str:
    """Returns axes of a volume to flip along, some of "zyx", from the command line."""
    if not text or set(text) - set(AXES):
        raise argparse.ArgumentTypeError(f"{text!r} is not made of the axes z, y and x, such as zy")
    return text


def axes_or_none(text: str) -> str:
    """Returns axes of a volume, some of "zyx" in that order, or "none", from the command line."""
    try:
        return known_axes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def overlap(text: str) -> float:
    """Returns the share of a window that its neighbour covers, from 0 to 0.95, from the command line."""
    return _float_between(text, 0, LARGEST_OVERLAP, f"a share from 0 to {LARGEST_OVERLAP:g}")


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


class CommandFailed(Exception):
    """A process that this one started failed, by no mistake of the user's; what it said is shown."""


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM), as a cluster's scheduler does: handled like Ctrl-C."""


_stopped_by: list[type[KeyboardInterrupt]] = []


def stop_in_order() -> None:
    """Makes SIGTERM raise `Terminated`, so that temporary files are removed and children ended, as Ctrl-C does.

    What is raised inside a destructor is lost: long loops call `raise_if_stopped` as well.
    """

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        _stopped_by.append(Terminated if number == signal.SIGTERM else KeyboardInterrupt)
        raise _stopped_by[-1]

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def raise_if_stopped() -> None:
    """Raises KeyboardInterrupt where the user or a scheduler has asked the process to end."""
    if _stopped_by:
        raise _stopped_by[-1]


def run(command: Callable[[], None]) -> None:
    """Runs a command: a UserError is printed as one line and ends it with status 2; a bug keeps its traceback.

    CommandFailed is one line and status 1.
    """
    accept_all_signs()
    try:
        command()
        sys.stdout.flush()
    except (UserError, CommandFailed) as error:
        print_user_error(Path(sys.argv[0]).name, error)
        sys.exit(USER_ERROR_STATUS if isinstance(error, UserError) else FAILURE_STATUS)
    except KeyboardInterrupt as stopped:
        if str(stopped):
            print(stopped, file=sys.stderr)
        sys.exit(TERMINATED_STATUS if isinstance(stopped, Terminated) else INTERRUPTED_STATUS)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE_STATUS)
