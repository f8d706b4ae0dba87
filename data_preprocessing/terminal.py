"""Standard output and standard error that print any name, whichever signs the terminal knows."""

import codecs
import io
import sys

HANDLER = "nnunet_tf.plain"
PLAIN = {"±": "+-", "…": "..."}  # what tables have beside names


def accept_all_signs() -> None:
    """Makes both streams print a sign that they cannot encode as an escape instead of raising an error."""
    codecs.register_error(HANDLER, _escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(PLAIN.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in signs), error.end
