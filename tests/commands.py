"""Running the commands: as a user does, or in this process, which spares TensorFlow's start."""

import inspect
import io
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from unittest import mock

from nnunet_tf.commands.start import run as run_to_its_end
from nnunet_tf.commands.start import run_command
from nnunet_tf.runtime import device

ROOT = Path(__file__).resolve().parent.parent
MODULES = {"preprocess.py": "preprocess_script", "evaluate.py": "evaluate_script"}


@dataclass(frozen=True)
class Finished:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str


def run(script: str, *arguments: object, cwd: Path = ROOT, variables: Mapping[str, str] | None = None) -> Finished:
    """Runs `python script arguments`, with some environment `variables` changed, and waits.

    For what only a process of its own shows; its tests are `slow`. Else see `call`.
    """
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


def call(script: str, *arguments: object) -> Finished:
    """Runs a command in this process, up to its exit status; leaves what it sets for its process as it was.

    Workers that it starts are processes all the same. What native libraries write is not among what it said.
    """
    name = MODULES.get(script, script.removesuffix(".py"))
    module = import_module(f"nnunet_tf.commands.{name}")
    words = [*map(str, arguments)]
    out, err, status = io.StringIO(), io.StringIO(), 0
    with _own_process([script, *words]), redirect_stdout(out), redirect_stderr(err):
        try:
            run_to_its_end(lambda: run_command(module, words, script))
        except SystemExit as ended:
            status = int(ended.code or 0)
    return Finished(status, out.getvalue(), err.getvalue())


def call_well(script: str, *arguments: object) -> Finished:
    """Calls a command that must end well."""
    done = call(script, *arguments)
    assert done.status == 0, done.out + done.err
    return done


@contextmanager
def _own_process(command: list[str]) -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with (
        mock.patch.object(sys, "argv", command),
        mock.patch.dict(os.environ),
        mock.patch.object(device, "start_tensorflow", _start_tensorflow),
        warnings.catch_warnings(),
    ):
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            if "keras" in sys.modules:
                sys.modules["keras"].mixed_precision.set_dtype_policy("float32")


_start = device.start_tensorflow


def _start_tensorflow(*arguments: object, **options: object) -> device.Runtime:
    """As the real one, but for the number of threads, which cannot change once TensorFlow has computed something."""
    given = inspect.signature(_start).bind(*arguments, **options)
    given.arguments["threads"] = None
    return _start(*given.args, **given.kwargs)


def refused(done: Finished, *words: str) -> None:
    """Checks that a command said in one line, with `words` in it, what the user must mend, and ended with status 2."""
    assert done.status == 2, done.out + done.err
    told = [line for line in done.err.splitlines() if " has no workers: waiting" not in line]  # on a loaded machine
    said = [line for line in told if not line.startswith(("Checking ", "Predicting ", "Scoring "))]
    assert len(said) == 1, done.err
    for word in words:
        assert word in done.err
