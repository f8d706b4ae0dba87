"""Words of messages."""

LONGEST = 200  # signs of a name


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
