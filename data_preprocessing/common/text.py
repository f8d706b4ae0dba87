"""Words of messages."""


def counted(number: int, noun: str) -> str:
    """Returns a number and what there are so many of, such as "1 case" and "2 cases"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
