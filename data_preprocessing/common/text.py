"""Words of messages."""

from collections.abc import Iterable

LONGEST = 200  # signs of a name
NAMES_SHOWN = 5  # of files, cases or classes in one line


def printable(text: str, longest: int | None = LONGEST) -> str:
    r"""Returns text from a file or the command line as it may be printed: control signs as escapes, cut at `longest`.

    >>> printable("a\x1b[31m")
    'a\\x1b[31m'
    """
    shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
    return shown if longest is None or len(shown) <= longest else f"{shown[:longest]}..."


def counted(number: int, noun: str) -> str:
    """Returns a number and what there are so many of, such as "1 case" and "2 cases"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def first_few(names: Iterable[object], most: int = NAMES_SHOWN) -> str:
    """Returns the first of some names as a list in words, and how many more there are.

    >>> first_few("abcdefg")
    'a, b, c, d, e and 2 more'
    """
    texts = [str(name) for name in names]
    more = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {more} more" if more > 0 else "")
