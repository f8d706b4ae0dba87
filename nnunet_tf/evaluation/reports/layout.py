"""Lay tables out for a terminal of any width: columns that do not fit go into a further table."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from nnunet_tf.runtime.console import print_whole, wide_console

COLUMN_FRAME = 3  # two blanks and a line
Row = Sequence[str]


def print_rows(title: str, headings: Sequence[str], rows: Sequence[Row], total: Row | None = None) -> None:
    """Prints rows of a name and numbers, every one of them whole.

    Where the columns do not fit beside each other, the rest follows in further tables with the names repeated. `total`
    is a last row, set apart; like the others it may be shorter than the headings.
    """
    width = wide_console().width
    shown = [*rows, *([total] if total else [])]
    for index, columns in enumerate(_blocks(headings, shown, width)):
        table = Table(title=f"{title} (continued)" if index else title)
        for column in columns:
            cells = [_cell(row, column) for row in shown]
            heading = "\n".join(_heading(headings[column], cells))
            table.add_column(heading, justify="right" if column else "left", no_wrap=True)
        for row in rows:
            table.add_row(*(_cell(row, column) for column in columns))
        if total and any(_cell(total, column) for column in columns[1:]):
            table.add_section()
            table.add_row(*(_cell(total, column) for column in columns))
        print_whole(table)


def print_listed(title: str, lists: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Prints a heading and, for each name, its entries: as many a line as fit, none of them broken."""
    console = wide_console()
    print(title)
    for name, entries in lists:
        indent = " " * 4
        print(f"  {name}:")
        for line in _lines([*(f"{entry}," for entry in entries[:-1]), *entries[-1:]], console.width - len(indent)):
            print(indent + line)


def _blocks(headings: Sequence[str], rows: Sequence[Row], width: int) -> list[list[int]]:
    """The columns of each table; the first column stands in all."""
    widths = [_width(heading, [_cell(row, column) for row in rows]) for column, heading in enumerate(headings)]
    blocks: list[list[int]] = []
    left = 0
    for column in range(1, len(headings)):
        if not blocks or widths[column] > left:
            blocks.append([0])
            left = width - 1 - widths[0]
        blocks[-1].append(column)
        left -= widths[column]
    return blocks or [[0]]


def _width(heading: str, cells: Sequence[str]) -> int:
    """The columns of the terminal that a column takes."""
    return COLUMN_FRAME + max(map(len, [*_heading(heading, cells), *cells]), default=0)


def _heading(heading: str, cells: Sequence[str]) -> list[str]:
    """The lines of a heading: those that it has, else as long as its cells or its longest word."""
    if "\n" in heading:
        return heading.split("\n")
    return list(_lines(heading.split(), max(map(len, [*heading.split(), *cells]), default=0)))


def _cell(row: Row, column: int) -> str:
    return row[column] if column < len(row) else ""


def _lines(entries: Sequence[str], width: int) -> Iterator[str]:
    line = ""
    for entry in entries:
        if line and len(line) + 1 + len(entry) > width:
            yield line
            line = entry
        else:
            line = f"{line} {entry}".strip()
    if line:
        yield line
