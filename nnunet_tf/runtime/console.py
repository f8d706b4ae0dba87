"""Where tables are printed."""

import sys

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

LOG_WIDTH = 200  # columns in a file or pipe: paths are not broken


def wide_console(stderr: bool = False) -> Console:
    """Returns the terminal, or, for what goes into a file or pipe, a console wide enough for paths.

    What is printed there stays as it is: brackets in names are no markup, and `:x:` is no emoji.
    """
    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if is_terminal else LOG_WIDTH
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def print_whole(table: Table, console: Console | None = None) -> None:
    """Prints a table without cutting anything: where its longest words need more columns than there are, wider."""
    console = console or wide_console()
    endless = console.options.update(max_width=sys.maxsize)
    needed = Measurement.get(console, endless, table).minimum
    if needed > console.width:
        console = Console(file=console.file, width=needed, markup=False, emoji=False, highlight=False, no_color=True)
    console.print(table)
