"""How much memory this machine has to spare."""

import psutil

SHARE_OF_FREE = 0.8  # left to others: a fifth of what is free


def free_memory() -> int:
    """Returns the bytes that a command may take where the user does not say: most of what is free now."""
    return int(psutil.virtual_memory().available * SHARE_OF_FREE)
