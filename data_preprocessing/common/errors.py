"""What ends a command with one line: a mistake the user can mend, and the failure of another process."""


class UserError(Exception):
    """A mistake in the input, the options or the files; the commands print it as one line and exit with status 2.

    The message says what is wrong, in which file, and what to do about it.
    """


class CommandFailed(Exception):
    """A process that this one started failed, by no mistake of the user's; what it said is shown."""
