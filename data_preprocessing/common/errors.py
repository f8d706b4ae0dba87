"""The one exception that stands for a mistake the user can mend."""


class UserError(Exception):
    """A mistake in the input, the options or the files; the commands print it as one line and exit with status 2.

    The message says what is wrong, in which file, and what to do about it.
    """
