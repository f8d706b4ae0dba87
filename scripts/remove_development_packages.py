"""Take out of ``.venv`` what only building and checking need: the last step of an image that is only to run.

``set_up.py`` comes first; it would put everything back. Which packages these are is in the lock files, where
each has a note of what wants it.
"""

from __future__ import annotations

import re
import sys

from set_up import REQUIREMENTS, STAMP, VENV, CommandError, explain, run, uv

DEVELOPMENT = ("development.in", "uv.in")  # uv.in is included by development.in


def wanted_by(lock: str) -> dict[str, set[str]]:
    """Read from the text of a lock file, for each package, the packages and ``.in`` files that want it."""
    wants: dict[str, set[str]] = {}
    for entry in re.split(r"^(?=[\w.-]+(?:\[.*\])?==)", lock, flags=re.MULTILINE)[1:]:
        package = re.split(r"[\[=]", entry)[0]
        notes = entry.partition("# via")[2]
        wants[package] = set(re.findall(r"^[ #]*(?:-r requirements/)?([\w.-]+)$", notes, re.MULTILINE))
    return wants


def development_packages(lock: str) -> set[str]:
    """Find the packages that nothing but ``DEVELOPMENT`` leads to."""
    wants = wanted_by(lock)
    kept: set[str] = set()
    while more := {name for name in wants.keys() - kept if any(_is_kept(source, kept) for source in wants[name])}:
        kept |= more
    return wants.keys() - kept


def _is_kept(source: str, kept: set[str]) -> bool:
    return source in kept or (source.endswith(".in") and source not in DEVELOPMENT)


def main() -> int:
    """Remove the packages, and return the exit status."""
    variant = STAMP.read_text().partition(" ")[0]
    packages = sorted(development_packages((REQUIREMENTS / f"{variant}.txt").read_text()))
    STAMP.unlink()  # the environment is no longer the one that set_up.py made
    try:
        run(uv(), "pip", "uninstall", *packages, "--python", VENV / "bin" / "python")
    except CommandError as error:
        return explain(error)
    print(f"removed {len(packages)} packages that only building and checking need")
    return 0


if __name__ == "__main__":
    sys.exit(main())
