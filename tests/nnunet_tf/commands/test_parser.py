import sys
from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.machine import available_cores
from nnunet_tf.commands.parser import CommandParser
from nnunet_tf.commands.start import run
from nnunet_tf.commands.types import axes, axes_or_none, overlap, positive_float, positive_int


def fail(error):
    def command():
        raise error

    return command


def test_a_user_error_is_one_line_and_status_2(capsys):
    with pytest.raises(SystemExit) as stopped:
        run(fail(UserError("scan.nii.gz: truncated\n  copy it again")))
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "scan.nii.gz: truncated copy it again" in message


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run(fail(ZeroDivisionError()))


@pytest.mark.parametrize(
    ("convert", "good", "bad"),
    [
        (positive_int, ["1", "20"], ["0", "-1", "1.5", "x", ""]),
        (positive_float, ["1e-3", "2"], ["0", "-1", "nan", "inf", "x"]),
        (overlap, ["0", "0.5", "0.95"], ["1", "-0.1", "nan", "50"]),
    ],
)
def test_numbers_out_of_range_are_told_in_one_line(convert, good, bad):
    parser = CommandParser("test")
    parser.add_argument("--number", type=convert)
    for text in good:
        assert parser.parse_args([f"--number={text}"]).number == float(text)
    for text in bad:
        with pytest.raises(UserError) as refused_by:
            parser.parse_args([f"--number={text}"])
        message = str(refused_by.value)
        assert "--number" in message
        assert message.count("\n") == 0


@pytest.mark.parametrize(
    ("convert", "good", "bad"),
    [
        (axes, {"z": "z", "zyx": "zyx"}, ["", "q", "none", "z y"]),
        (axes_or_none, {"xz": "zx", "yy": "y", "none": "none"}, ["", "q", "nonez", "z,y"]),
    ],
)
def test_axes_are_letters(convert, good, bad):
    assert {text: convert(text) for text in good} == good
    for text in bad:
        with pytest.raises(ArgumentTypeError, match="made of the axes z, y and x, such as zy"):
            convert(text)


def backend_options(monkeypatch, *words):
    parser = CommandParser("test")
    parser.add_jobs()
    parser.add_backend()
    parser.add_argument("--output", type=Path)
    parser.add_argument("--input", type=Path, nargs="+")
    monkeypatch.setattr(sys, "argv", ["test.py", *words])
    options = parser.parse_args()
    parser.check_backend(options)
    return options


def test_on_a_cluster_paths_are_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    words = ["--output", "out", "--input", "a", "/b"]
    here = backend_options(monkeypatch, *words)
    assert (here.output, here.input) == (Path("out"), [Path("a"), Path("/b")])
    there = backend_options(monkeypatch, *words, "--backend", "dask", "--scheduler", "node1:8786")
    assert (there.output, there.input) == (tmp_path / "out", [tmp_path / "a", Path("/b")])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--backend", "dask"], "name it with --scheduler"),
        (["--scheduler", "node1:8786"], "--scheduler belongs to --backend dask"),
        (["--backend", "dask", "--scheduler", "node1:8786", "--n-jobs", str(available_cores())], "--n-jobs is for"),
        (["--backend", "dask", "--scheduler", "node1:8786", "--memory", "4"], "--memory is for --backend processes"),
    ],
)
def test_options_that_do_not_go_with_the_backend_are_refused(words, said, monkeypatch):
    with pytest.raises(UserError) as refused_by:
        backend_options(monkeypatch, *words)
    assert said in str(refused_by.value)


def test_what_was_given_is_known_of_options_of_every_kind():
    parser = CommandParser("test")
    parser.add_argument("--one", default=1, type=int)
    parser.add_argument("--many", action="append")
    parser.add_argument("--flag", action="store_true")
    parser.parse(["--one", "1"])
    assert parser.given() == {"one"}
    parser.parse(["--many", "a", "--many", "b", "--flag"])
    assert parser.given() == {"many", "flag"}
