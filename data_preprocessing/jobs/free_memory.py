"""How much memory this machine, or container, has to spare."""

from data_preprocessing.common.machine import available_memory

SHARE_OF_FREE = 0.8  # left to others: a fifth of what is free


def free_memory() -> int:
    """Returns the bytes that a command may take where the user does not say: most of what is free now."""
    return int(available_memory() * SHARE_OF_FREE)
