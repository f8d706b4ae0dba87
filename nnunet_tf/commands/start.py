"""Running a command: how its end becomes a line and an exit status."""

import atexit
import errno
import gc
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

from data_preprocessing.common.errors import CommandFailed, UserError
from data_preprocessing.common.script import USER_ERROR_STATUS, accept_all_signs, print_user_error, program
from data_preprocessing.common.stopping import end_with_starter, exit_stopped, stop_in_order
from nnunet_tf.commands.parser import CommandParser

FAILURE_STATUS = 1
BROKEN_PIPE_STATUS = 141


def run(command: Callable[[], None]) -> None:
    """Runs a command: a UserError is printed as one line and ends it with status 2; a bug keeps its traceback.

    CommandFailed is one line and status 1.
    """
    accept_all_signs()
    stop_in_order()
    end_with_starter()
    # The interpreter looks through all objects once more when it ends, a second with TensorFlow's; registered first, it
    # comes last.
    atexit.register(gc.freeze)
    try:
        command()
        sys.stdout.flush()
    except (UserError, CommandFailed) as error:
        print_user_error(program(), error)
        sys.exit(USER_ERROR_STATUS if isinstance(error, UserError) else FAILURE_STATUS)
    except KeyboardInterrupt as stopped:
        exit_stopped(stopped, program())
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE_STATUS)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to print cannot be printed
        print_user_error(program(), UserError(f"cannot write ({error.strerror}); make room, or print to another place"))
        sys.exit(USER_ERROR_STATUS)


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
