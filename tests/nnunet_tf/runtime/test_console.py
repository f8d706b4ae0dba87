import io
import sys

import pytest
from rich.console import Console
from rich.table import Table

from data_preprocessing.common.script import accept_all_signs
from data_preprocessing.dataset.verify_report import findings_table
from data_preprocessing.images.checks.finding import Row, warning
from nnunet_tf.runtime.console import print_whole, wide_console
from nnunet_tf.runtime.progress import track

NAMES = ["pat [pre]", "tumour [/core]", "[red]a[/red]", "\\[x]", ":warning: x", "{note}", "a [link=http://b]c"]


@pytest.mark.parametrize("name", NAMES)
def test_names_in_a_table_are_printed_as_they_are(capsys, name):
    table = Table(title=f"title {name}")
    table.add_column(f"head {name}")
    table.add_row(f"cell {name}")
    console = wide_console()
    console.print(table)
    console.print(f"line {name}")
    out = capsys.readouterr().out
    assert all(f"{place} {name}" in out for place in ("title", "head", "cell", "line"))


@pytest.mark.parametrize("name", NAMES)
def test_names_beside_a_bar_are_shown_as_they_are(monkeypatch, name):
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    with track(f"title {name}", total=1, unit="cases") as tracker:
        tracker.say(f"line {name}")
        tracker.update(1, note=f"note {name}")
    assert all(f"{place} {name}" in stream.getvalue() for place in ("title", "line", "note"))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_stream_that_cannot_print_a_sign_prints_an_escape(monkeypatch, encoding):
    bytes_out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(bytes_out, encoding=encoding))
    accept_all_signs()
    table = Table(title="Łódź 肝 \udcff")
    table.add_row("0.5 ± 0.1")
    wide_console().print(table)
    print("肝")
    sys.stdout.flush()
    text = bytes_out.getvalue().decode(encoding)
    assert "udcff" in text
    assert ("肝" if encoding == "utf-8" else "\\u809d") in text
    assert ("0.5 +- 0.1" if encoding == "ascii" else "0.5 ± 0.1") in text


@pytest.mark.parametrize("width", [80, 100, 200])
def test_a_path_is_printed_in_one_piece_however_narrow_the_terminal_is(capsys, width):
    path = "a/folder/" + "long name " * 12 + ".nii.gz"
    findings = [warning(Row.UNIT, "the unit is metre, " * 3, "correct it").at(path)]
    print_whole(findings_table(findings, whole_paths=True), Console(width=width, markup=False))
    assert any(path in line for line in capsys.readouterr().out.splitlines())
