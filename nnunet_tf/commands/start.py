"""Running a command: how its end becomes a line and an exit status."""

import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

from data_preprocessing.common.errors import CommandFailed, UserError
from data_preprocessing.common.script import USER_ERROR_STATUS, accept_all_signs, print_user_error, program
from nnunet_tf.commands.parser import CommandParser
from nnunet_tf.runtime.stopping import Terminated

FAILURE_STATUS = 1
INTERRUPTED_STATUS = 130
TERMINATED_STATUS = 143
BROKEN_PIPE_STATUS = 141


def run(command: Callable[[], None]) -> None:
    """Runs a command: a UserError is printed as one line and ends it with status 2; a bug keeps its traceback.

    CommandFailed is one line and status 1.
    """
    accept_all_signs()
    try:
        command()
        sys.stdout.flush()
    except (UserError, CommandFailed) as error:
        print_user_error(program(), error)
        sys.exit(USER_ERROR_STATUS if isinstance(error, UserError) else FAILURE_STATUS)
    except KeyboardInterrupt as stopped:
        if str(stopped):
            print(stopped, file=sys.stderr)
        sys.exit(TERMINATED_STATUS if isinstance(stopped, Terminated) else INTERRUPTED_STATUS)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE_STATUS)


def run_script(command: ModuleType) -> None:
    """Runs a module of this package as the script that was started: see `run_command`."""
    run(lambda: run_command(command, None))


def run_command(command: ModuleType, words: Sequence[str] | None, prog: str | None = None) -> None:
    """Runs a module of this package with the options in `words`, those of the process where that is None.

    Each has a docstring for its help, `add_options(parser)` and `run(options, parser)`.
    """
    parser = CommandParser(command.__doc__, prog)
    command.add_options(parser)
    command.run(parser.parse(words), parser)
