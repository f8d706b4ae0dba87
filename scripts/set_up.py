"""Make ``.venv``: the environment that every other command of the project runs in.

Two packages are compiled here, against the locked TensorFlow: Horovod and DALI's TensorFlow plugin. Their
wheels and all downloads are kept in ``$XDG_CACHE_HOME/nnunet-tf`` (``~/.cache/nnunet-tf``): the next set-up,
in this or another clone, takes seconds and no network. Standard library only: this runs before anything is
installed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from build_horovod import UserError, check_compilers

REPOSITORY = Path(__file__).resolve().parent.parent
REQUIREMENTS = REPOSITORY / "requirements"
BUILD_HOROVOD = REPOSITORY / "scripts" / "build_horovod.py"
CUDA_HEADERS = "cuda-headers"  # the lock file of what DALI's plugin includes, with and without a GPU
VENV = REPOSITORY / ".venv"
STAMP = VENV / "set_up_stamp"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nnunet-tf"
LOG = CACHE / "set_up.log"

# What is compiled here, because nobody publishes a wheel that fits this TensorFlow: the name of its file in
# requirements/, and a line of Python that fails when the wheel does not work.
BUILT_PACKAGES = {
    "dali-tf-plugin": "import nvidia.dali.plugin.tf",
    "horovod": (
        "import horovod.tensorflow as hvd, sys\nassert hvd.gloo_built() and (sys.argv[1] == 'cpu' or hvd.nccl_built())"
    ),
}
SIGNS_OF_NO_NETWORK = re.compile(
    r"dns error|name resolution|Connection refused|Network is unreachable|NewConnectionError|ConnectTimeout"
    r"|client error \(Connect\)|operation timed out|from versions: none|not found in the package registry"
)


class CommandError(Exception):
    """A command ended with an error; its output is at the end of the log."""


def check_machine() -> None:
    """Raise ``UserError`` on a machine that the lock files are not for."""
    found = f"this is Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info[:2] != (3, 11):
        raise UserError(f"Python 3.11 is needed, {found}: install it, or say where: make setup PYTHON=PATH")
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise UserError(f"Linux on an x86_64 processor is needed, {found}: use such a machine or container")


def locked_packages(name: str) -> dict[str, str]:
    """Read a lock file: its packages and their versions."""
    text = (REQUIREMENTS / f"{name}.txt").read_text()
    return dict(re.findall(r"^([\w.-]+)(?:\[.*\])?==(\S+)", text, re.MULTILINE))


def digest(files: list[Path], *facts: object) -> str:
    """Make a short name for the content of ``files`` together with ``facts``."""
    parts = [path.read_bytes() for path in files] + [str(fact).encode() for fact in facts]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:16]


def stamp(variant: str) -> str:
    """Say what ``STAMP`` holds when ``.venv`` is complete: its variant, and what made it and where."""
    files = [*sorted(REQUIREMENTS.glob("*.txt")), Path(__file__), BUILD_HOROVOD]
    return f"{variant} {digest(files, VENV)}"


def wheel_folder(package: str, variant: str) -> Path:
    """Name the cache folder of a built wheel: one for each TensorFlow, Python, C library and recipe."""
    locked = locked_packages(variant).items()
    linked = [item for item in locked if re.match("tensorflow|nvidia-dali|nvidia-nccl", item[0])]
    recipe = BUILD_HOROVOD if package == "horovod" else REQUIREMENTS / f"{CUDA_HEADERS}.txt"
    files = [REQUIREMENTS / f"{package}.txt", recipe]
    key = digest(files, linked, sys.implementation.cache_tag, platform.libc_ver())
    return CACHE / "wheels" / f"{package}-{variant}-{key}"


def keep(file: Path, destination: Path) -> None:
    """Copy ``file`` into the cache; it has its final name only once it is complete."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    unfinished = destination.with_name(f"{destination.name}.unfinished")
    shutil.copy2(file, unfinished)
    unfinished.replace(destination)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a folder in the cache for a while, or elsewhere if a space in its path would upset compilers."""
    parent = None if " " in str(CACHE) else CACHE
    with tempfile.TemporaryDirectory(dir=parent, prefix="building-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def run(*command: str | Path, **settings: str) -> None:
    """Run a command with its output going to the log; raise ``CommandError`` if it fails."""
    own = {"UV_CACHE_DIR": str(CACHE / "uv"), "PIP_RETRIES": "2", "PYTHONPATH": ""}
    environment = os.environ | own | settings
    with LOG.open("a") as log:
        print("\n$", *command, file=log, flush=True)
        status = subprocess.call(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    if status != 0:
        raise CommandError(f"{Path(command[0]).name} ended with exit status {status}")


def uv() -> Path:
    """Name the place of the installer in the cache."""
    return CACHE / f"uv-{locked_packages('uv')['uv']}"


def fetch_uv() -> None:
    """Put uv into the cache, by way of pip in an environment that is thrown away."""
    with temporary_folder() as folder:
        try:
            venv.create(folder, symlinks=True, with_pip=True)
        except subprocess.CalledProcessError:
            remedy = "install it (Debian, Ubuntu: apt-get install python3.11-venv)"
            raise UserError(f"this Python lacks ensurepip, which brings pip: {remedy}") from None
        pip = (folder / "bin" / "python", "-m", "pip", "install", "--no-deps", "--require-hashes")
        run(*pip, "--requirement", REQUIREMENTS / "uv.txt")
        keep(folder / "bin" / "uv", uv())


def install_packages(environment: Path, variant: str) -> None:
    """Make ``environment`` anew with the locked packages."""
    venv.create(environment, clear=True, symlinks=True)
    install_locked(environment, "sync", REQUIREMENTS / f"{variant}.txt")


def install_locked(environment: Path, *words: str | Path) -> None:
    """Let uv install from a lock file; no network is used if the cache holds it all."""
    command = (uv(), "pip", *words, "--require-hashes", "--python", environment / "bin" / "python")
    # uv does not read pip's settings, and keeps apart what it has from different indexes.
    mirror = {"UV_DEFAULT_INDEX": os.environ["PIP_INDEX_URL"]} if "PIP_INDEX_URL" in os.environ else {}
    # Bytecode is compiled once, now: a start of TensorFlow without it takes twice the processor time.
    bytecode = {"UV_COMPILE_BYTECODE": "1"} if environment == VENV else {}
    for index in ({}, mirror):
        with contextlib.suppress(CommandError):
            return run(*command, "--offline", **index, **bytecode)
    return run(*command, **mirror, **bytecode)


def build_dali_plugin(environment: Path, wheels: Path, temporary: Path) -> None:
    """Compile DALI's plugin; the headers of CUDA that it includes come from wheels, as not every machine has them."""
    install_locked(environment, "install", "--no-deps", "-r", REQUIREMENTS / f"{CUDA_HEADERS}.txt")
    (nvidia,) = environment.glob("lib/*/site-packages/nvidia")
    # The plugin looks in CUDA_HOME/include, whose headers include crt/, which is in another wheel.
    headers = {"CUDA_HOME": str(nvidia / "cuda_runtime"), "CPATH": str(nvidia / "cuda_nvcc" / "include")}
    pip_wheel = (environment / "bin" / "python", "-m", "pip", "wheel", "--no-deps", "--no-build-isolation")
    source = ("--no-cache-dir", "--require-hashes", "-r", REQUIREMENTS / "dali-tf-plugin.txt")
    run(*pip_wheel, *source, "-w", wheels, TMPDIR=str(temporary), **headers)


def install_wheels(environment: Path, folders: list[Path]) -> None:
    """Install the wheels that were built here; what they need is among the locked packages."""
    wheels = [wheel for folder in folders for wheel in folder.glob("*.whl")]
    run(uv(), "pip", "install", "--offline", "--no-deps", *wheels, "--python", environment / "bin" / "python")


def link_checkout(environment: Path) -> None:
    """Have ``environment`` import from this checkout wherever it is started, and call its commands `nnunet-tf`.

    As an editable install does, which would have to fetch a build backend.
    """
    (packages,) = environment.glob("lib/*/site-packages")
    (packages / "nnunet_tf_checkout.pth").write_text(f"{REPOSITORY}\n")
    command = environment / "bin" / "nnunet-tf"
    python = environment / "bin" / "python"
    # By way of sh, as the path of an interpreter may be too long for the first line, or have a space in it.
    command.write_text(f"""#!/bin/sh
'''exec' {shlex.quote(str(python))} "$0" "$@"
' '''
from nnunet_tf.commands.cli import main

main()
""")
    command.chmod(0o755)


def build(package: str, variant: str) -> None:
    """Build a wheel in an environment of its own, see that it works, and put it into the cache.

    Not in ``.venv``: the clone's path gets into the compiler's commands, and a space in it would break them.
    """
    with temporary_folder() as folder:
        install_packages(folder / "venv", variant)
        python, wheels = folder / "venv" / "bin" / "python", folder / "wheels"
        if package == "horovod":
            run(python, BUILD_HOROVOD, "--variant", variant, "--output", wheels, TMPDIR=str(folder))
        else:
            build_dali_plugin(folder / "venv", wheels, folder)
        install_wheels(folder / "venv", [wheels])
        run(python, "-c", BUILT_PACKAGES[package], variant)
        (wheel,) = wheels.iterdir()
        keep(wheel, wheel_folder(package, variant) / wheel.name)


def steps_for(variant: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """List what is to be done: what the cache holds is neither fetched nor built again."""
    if not uv().exists():
        yield "fetching the installer", fetch_uv
    yield f"installing {len(locked_packages(variant))} packages", partial(install_packages, VENV, variant)
    folders = {package: wheel_folder(package, variant) for package in BUILT_PACKAGES}
    for package, folder in folders.items():
        if not any(folder.glob("*.whl")):
            check_compilers(variant)
            yield f"building {package} (the first time only)", partial(build, package, variant)
    yield "installing what was built", partial(install_wheels, VENV, list(folders.values()))
    yield "linking this checkout", partial(link_checkout, VENV)


def do(steps: list[tuple[str, Callable[[], None]]]) -> None:
    """Do the steps, with a line for each that ends in the time it took."""
    for number, (title, action) in enumerate(steps, start=1):
        print(f"[{number}/{len(steps)}] {title} ... ", end="", flush=True)
        start = time.monotonic()
        try:
            action()
        finally:
            print(f"{time.monotonic() - start:.1f} s", flush=True)


def set_up(variant: str | None) -> None:
    """Make ``.venv``, unless it is there and complete. Without a ``variant``, it stays what it is."""
    check_machine()
    done = STAMP.read_text() if STAMP.exists() and (VENV / "bin" / "python").exists() else ""
    variant = variant or done.partition(" ")[0] or "cpu"
    if done == stamp(variant):
        print(f".venv is up to date ({variant})")
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX)  # another set-up under way fills the cache for this one
        LOG.write_text("")
        steps = list(steps_for(variant))
        STAMP.unlink(missing_ok=True)
        for leftover in CACHE.glob("building-*"):
            shutil.rmtree(leftover)  # of a set-up that was killed
        do(steps)
        STAMP.write_text(stamp(variant))


def explain(error: CommandError) -> int:
    """Print why a command failed, and return the exit status that goes with it."""
    output = LOG.read_text(errors="replace").rpartition("\n$ ")[2]
    if SIGNS_OF_NO_NETWORK.search(output):
        what = f"the package index gives no answer, and {CACHE} does not hold all that is needed yet"
        print(f"set_up.py: {what}: connect to a network, or set PIP_INDEX_URL to a mirror", file=sys.stderr)
        return 2
    lines = output.splitlines()
    first_errors = [line for line in lines if "error:" in line][:5]  # a compiler's is far from the end
    print(*first_errors, "...", *lines[-15:], sep="\n", file=sys.stderr)
    print(f"set_up.py: {error}; the whole output is in {LOG}", file=sys.stderr)
    return 1


def main() -> int:
    """Read the command line, make the environment, and return the exit status."""
    parser = argparse.ArgumentParser(description="Make .venv with all that the project needs.")
    parser.add_argument("--variant", choices=("cpu", "gpu"), help="default: what .venv is, or else cpu")
    try:
        set_up(parser.parse_args().variant)
    except UserError as error:
        print(f"set_up.py: {error}", file=sys.stderr)
        return 2
    except CommandError as error:
        return explain(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
