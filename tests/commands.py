"""Running the commands as a user does."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Finished:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str


def run(script: str, *arguments: object, cwd: Path = ROOT, variables: Mapping[str, str] | None = None) -> Finished:
    """Runs `python script arguments`, with some environment `variables` changed, and waits."""
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"} | dict(
        variables or {}
    )
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    return Finished(done.returncode, done.stdout, done.stderr)


def run_well(script: str, *arguments: object, variables: Mapping[str, str] | None = None) -> Finished:
    """Runs a command that must end well."""
    done = run(script, *arguments, variables=variables)
    assert done.status == 0, done.out + done.err
    return done


def refused(done: Finished, *words: str) -> None:
    """Checks that a command said in one line, with `words` in it, what the user must mend, and ended with status 2."""
    assert done.status == 2, done.out + done.err
    said = [line for line in done.err.splitlines() if not line.startswith(("Checking ", "Predicting ", "Scoring "))]
    assert len(said) == 1, done.err
    for word in words:
        assert word in done.err
