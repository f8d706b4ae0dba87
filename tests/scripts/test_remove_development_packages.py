"""What an image that only runs is freed of."""

import importlib

import pytest

from tests.commands import ROOT

LOCK = """\
# uv pip compile requirements/cpu.in requirements/development.in
keras==3.0 \\
    --hash=sha256:00
    # via tensorflow
mypy==2.0 \\
    --hash=sha256:00 \\
    --hash=sha256:11
    # via -r requirements/development.in
numpy==2.0 \\
    --hash=sha256:00
    # via
    #   keras
    #   scikit-image
scikit-image==0.26 \\
    --hash=sha256:00
    # via -r requirements/development.in
tensorflow[and-cuda]==2.0 \\
    --hash=sha256:00
    # via
    #   -r requirements/cpu.in
    #   -r requirements/development.in
tifffile==1.0 \\
    --hash=sha256:00
    # via scikit-image
uv==0.13 \\
    --hash=sha256:00
    # via -r requirements/uv.in
"""


@pytest.fixture
def removal(monkeypatch):
    """The script as a module; it imports its neighbours, as it does when it is run."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("remove_development_packages")


def test_a_package_goes_when_nothing_but_development_leads_to_it(removal):
    assert removal.development_packages(LOCK) == {"mypy", "scikit-image", "tifffile", "uv"}


def test_packages_that_want_only_each_other_go_as_well(removal):
    circle = "a==1\n    # via b\nb==1\n    # via a\nc==1\n    # via -r requirements/runtime.in\n"
    assert removal.development_packages(circle) == {"a", "b"}


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_every_package_of_the_lock_files_has_a_note_of_what_wants_it(removal, variant):
    lock = (ROOT / "requirements" / f"{variant}.txt").read_text()
    wants = removal.wanted_by(lock)
    assert len(wants) == lock.count("# via")
    sources = set().union(*wants.values())
    assert all(wants.values())
    assert sources - wants.keys() == {f"{variant}.in", "runtime.in", *removal.DEVELOPMENT}


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_what_the_program_names_as_its_needs_stays(removal, variant):
    gone = removal.development_packages((ROOT / "requirements" / f"{variant}.txt").read_text())
    named = (ROOT / "requirements" / "runtime.in").read_text().split("\n", 1)[1]
    needs = {line.partition("=")[0].split()[0].lower() for line in named.splitlines() if line and line[0] != "#"}
    assert {"pytest", "mypy", "cmake"} <= gone
    assert not needs & gone


def test_the_environment_no_longer_passes_for_a_complete_one(removal, monkeypatch, tmp_path):
    stamp, commands = tmp_path / "stamp", []
    stamp.write_text("cpu 0123\n")
    monkeypatch.setattr(removal, "STAMP", stamp)
    monkeypatch.setattr(removal, "run", lambda *command: commands.append(command))
    assert removal.main() == 0
    assert not stamp.exists()
    assert [command[1:3] for command in commands] == [("pip", "uninstall")]
    assert "pytest" in commands[0]
