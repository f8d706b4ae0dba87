"""What commands share: paths on the command line, streams that print any name, and a user's mistake as one line."""

import argparse
import codecs
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.stopping import exit_stopped, stop_in_order
from data_preprocessing.common.text import printable

USER_ERROR_STATUS = 2
INSTALLED = "nnunet-tf"  # the command of an installed program
HANDLER = "nnunet_tf.plain"
PLAIN = {"±": "+-", "…": "..."}  # what tables have beside names


def program() -> str:
    """Returns how this command is called, which begins its lines: `train.py`, or `nnunet-tf`."""
    return Path(sys.argv[0]).name


def other_command(name: str) -> list[str]:
    """Returns how another command is called, in the way that this one was: `nnunet-tf train`, or `python train.py`."""
    return [INSTALLED, name] if program() == INSTALLED else ["python", f"{name}.py"]


class LineParser(argparse.ArgumentParser):
    """A parser whose complaints are UserErrors of one line."""

    def error(self, message: str) -> NoReturn:
        """Raises UserError with what is wrong with the command line."""
        raise UserError(f"{message}; see {self.prog} --help")


def user_path(text: str) -> Path:
    """Returns a path from the command line; `~` at its start is the home folder, which shells leave in `--data=~/x`."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # of a user who does not exist
        return Path(text)


def run_script(main: Callable[[], None], name: str) -> None:
    """Runs the command `name`; a UserError is printed as one line and ends it with status 2."""
    accept_all_signs()
    stop_in_order()
    try:
        main()
    except UserError as error:
        print_user_error(name, error)
        sys.exit(USER_ERROR_STATUS)
    except KeyboardInterrupt as stopped:
        exit_stopped(stopped, name)


def print_user_error(name: str, error: Exception) -> None:
    """Prints what the user of the command `name` must mend, in one line."""
    print(f"{name}: {printable(' '.join(str(error).split()), None)}", file=sys.stderr)


def accept_all_signs() -> None:
    """Makes both streams print a sign that they cannot encode as an escape instead of raising an error."""
    codecs.register_error(HANDLER, _escape)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the process was started with it closed
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(PLAIN.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in signs), error.end
