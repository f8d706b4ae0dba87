"""What set-up takes from where."""

import importlib

import pytest

from tests.commands import ROOT


@pytest.fixture
def set_up(monkeypatch):
    """The script as a module; it imports its neighbour, as it does when it is run."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("set_up")


def test_the_cuda_headers_of_dalis_plugin_are_those_of_the_cuda_that_tensorflow_brings(set_up):
    headers = set_up.locked_packages(set_up.CUDA_HEADERS)
    assert len(headers) == 2
    assert headers.items() <= set_up.locked_packages("gpu").items()


def test_the_plugin_is_compiled_with_locked_headers_whatever_cuda_the_machine_has(set_up, monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_HOME", "/usr/local/cuda-of-the-machine")
    nvidia = tmp_path / "lib" / "python3.11" / "site-packages" / "nvidia"
    nvidia.mkdir(parents=True)
    said = []
    monkeypatch.setattr(set_up, "run", lambda *command, **settings: said.append((command, settings)))
    set_up.build_dali_plugin(tmp_path, tmp_path / "wheels", tmp_path)
    *_, (command, settings) = said
    assert "wheel" in command
    assert settings["CUDA_HOME"] == str(nvidia / "cuda_runtime")
    assert settings["CPATH"] == str(nvidia / "cuda_nvcc" / "include")


def test_a_wheel_of_the_plugin_is_built_again_when_its_headers_change(set_up, monkeypatch, tmp_path):
    for lock in set_up.REQUIREMENTS.glob("*.txt"):
        (tmp_path / lock.name).write_bytes(lock.read_bytes())
    monkeypatch.setattr(set_up, "REQUIREMENTS", tmp_path)
    folders = {package: set_up.wheel_folder(package, "cpu") for package in set_up.BUILT_PACKAGES}
    with (tmp_path / "cuda-headers.txt").open("a") as lock:
        lock.write("# another\n")
    assert set_up.wheel_folder("dali-tf-plugin", "cpu") != folders["dali-tf-plugin"]
    assert set_up.wheel_folder("horovod", "cpu") == folders["horovod"]
