"""Where tables are printed."""

import sys

from rich.console import Console

LOG_WIDTH = 200  # columns in a file or pipe: paths are not broken


def wide_console(stderr: bool = False) -> Console:
    """Returns the terminal, or, for what goes into a file or pipe, a console wide enough for paths.

    What is printed there stays as it is: brackets in names are no markup, and `:x:` is no emoji.
    """
    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if is_terminal else LOG_WIDTH
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)
