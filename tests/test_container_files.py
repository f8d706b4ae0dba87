"""The Dockerfiles, as far as they can be tested without building an image."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import ROOT

VARIANTS = {"gpu": ROOT / "Dockerfile", "cpu": ROOT / "Dockerfile.cpu"}
HOME = Path("/opt/nnunet-tf")  # of the program in the image
COMMANDS = sorted(path.stem for path in ROOT.glob("*.py"))


@pytest.fixture(params=VARIANTS)
def variant(request):
    return request.param


@pytest.fixture
def image(variant):
    return instructions(VARIANTS[variant])


def instructions(path):
    """The instructions of a Dockerfile, as (name, arguments), comments dropped and continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines()]


def of(image, name):
    return [arguments for instruction, arguments in image if instruction == name]


def stages(image):
    """The instructions of each stage."""
    starts = [number for number, (name, _) in enumerate(image) if name == "FROM"]
    return [image[start:end] for start, end in zip(starts, [*starts[1:], len(image)], strict=True)]


def copied(image):
    """Sources in the repository and their destination, for each COPY that is not from another stage."""
    words = [arguments.split() for arguments in of(image, "COPY") if not arguments.startswith("--from=")]
    return [(sources, destination) for *sources, destination in words]


def environment(stage):
    return dict(word.split("=", 1) for arguments in of(stage, "ENV") for word in shlex.split(arguments))


def exec_form(stage, name):
    """The words of an instruction that is a JSON list."""
    (arguments,) = of(stage, name)
    return re.findall(r'"([^"]*)"', arguments)


def test_the_image_is_set_up_by_the_command_that_make_setup_runs(variant, image):
    make = ["make", "--dry-run", "--silent", "setup", f"GPU={int(variant == 'gpu')}", "PYTHON=python3.11"]
    plain = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    said = subprocess.run(make, cwd=ROOT, env=plain, capture_output=True, text=True, check=True).stdout
    steps = [step.split() for run in of(image, "RUN") for step in re.sub(r"--mount=\S+", "", run).split("&&")]
    assert said.split() in steps
    assert not any("pip" in step for step in steps)


def test_the_two_images_differ_only_in_what_is_for_gpus():
    text = VARIANTS["gpu"].read_text().partition("\n\n")[2]
    text = text.replace("FROM nvidia/cuda:12.5.1-devel-ubuntu22.04 AS cuda\n\n", "")
    text = re.sub(r" +--mount=type=bind,from=cuda\S+ \\\n", "", text)
    text = re.sub(r" \\\n +NVIDIA_\w+=\S+", "", text)
    text = text.replace("--variant gpu", "--variant cpu").replace("GPU=1", "GPU=0")
    assert text == VARIANTS["cpu"].read_text().partition("\n\n")[2]


def test_bases_are_pinned_to_a_release(image):
    for base in of(image, "FROM"):
        assert re.match(r"[\w/]+:\d+\.\d+[\w.-]*( AS \w+)?$", base), base


def test_the_environment_runs_on_the_base_it_was_built_on(image):
    *_, build, final = stages(image)
    assert build[0][1].split()[0] == final[0][1].split()[0]
    assert f"--from=build {HOME}/.venv {HOME}/.venv" in of(final, "COPY")
    assert of(build, "WORKDIR") == [str(HOME)]


def test_horovod_finds_cuda_where_it_looks_for_it(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.delenv("CUDA_HOME", raising=False)
    from build_horovod import cuda_home

    (mount,) = re.findall(r"--mount=type=bind,(\S+)", VARIANTS["gpu"].read_text())
    assert dict(word.split("=") for word in mount.split(","))["target"] == str(cuda_home())


def test_what_is_copied_exists_and_is_not_ignored(image):
    everything, *allowed = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] != "#"]
    assert everything == "*"
    for sources, _ in copied(image):
        for source in sources:
            assert list(ROOT.glob(source)), source
            assert f"!{source}" in allowed


def test_nothing_is_sent_that_is_not_copied():
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    used = {source for path in VARIANTS.values() for sources, _ in copied(instructions(path)) for source in sources}
    assert sent == used


def test_the_program_does_not_run_as_root(image):
    final = stages(image)[-1]
    names = [name for name, _ in final]
    (user,) = of(final, "USER")
    assert int(user) > 0
    assert f"useradd --uid {user} " in of(final, "RUN")[0]
    assert "RUN" not in names[names.index("USER") :]


@pytest.mark.slow
def test_every_command_starts_in_any_folder_from_what_is_copied(image, tmp_path):
    final = stages(image)[-1]
    program, work = tmp_path / "program", tmp_path / "work"
    work.mkdir()
    (work / "train.py").write_text("raise SystemExit('a file of the user, who may call it what he likes')")
    for sources, destination in copied(final):
        place = program / Path(destination).relative_to(HOME)
        for source in (path for pattern in sources for path in ROOT.glob(pattern)):
            if source.is_dir():
                shutil.copytree(source, place)
            else:
                place.mkdir(exist_ok=True)
                shutil.copy(source, place)
    settings = {name: value.replace(str(HOME), str(program)) for name, value in environment(final).items()}
    python, *options = exec_form(final, "ENTRYPOINT")
    assert python == "python"
    for words in [[command, "--help"] for command in COMMANDS] + [exec_form(final, "CMD")]:
        command = [sys.executable, *options, *words]
        told = {"PYTHONPATH": settings["PYTHONPATH"], "PYTHONSAFEPATH": settings["PYTHONSAFEPATH"]}
        done = subprocess.run(command, cwd=work, env=os.environ | told, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"usage: {words[0]}.py")
