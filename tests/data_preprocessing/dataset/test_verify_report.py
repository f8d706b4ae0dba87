import io
import json
from pathlib import Path

from rich.console import Console

from data_preprocessing.dataset.verify_report import FILES_SHOWN, findings_json, findings_table, summary
from data_preprocessing.images.checks.finding import Finding, Row, error, warning

EMPTY = error(Row.EMPTY_FILE, "the file is empty", "copy it again").at(Path("x/b.nii"), "b")
UNIT = warning(Row.UNIT, "its header says [bold]microns[/]", "correct the unit").at(Path("x/[red]a.nii"), "a")


def shown(findings: list[Finding], width: int = 160) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(findings_table(findings))
    return stream.getvalue()


def test_the_table_shows_level_file_problem_and_remedy_in_order():
    lines = [line for line in shown([EMPTY, UNIT]).splitlines() if "nii" in line]
    assert len(lines) == 2
    for text in ("error", "x/b.nii", "the file is empty", "copy it again"):
        assert text in lines[0]
    for text in ("warning", "x/[red]a.nii", "its header says [bold]microns[/]", "correct the unit"):
        assert text in lines[1]


def test_the_title_counts():
    assert "1 error, 1 warning" in shown([EMPTY, UNIT])
    assert summary([EMPTY, EMPTY, UNIT]) == "2 errors, 1 warning"
    assert summary([UNIT, UNIT]) == "2 warnings"


def test_the_table_says_when_there_is_nothing_to_report():
    assert "nothing to report" in shown([])


def test_files_that_share_a_problem_share_a_line_of_a_few_names():
    alike = [EMPTY.at(Path(f"x/{number}.nii"), str(number)) for number in range(FILES_SHOWN + 3)]
    text = shown([*alike, UNIT])
    assert text.count("the file is empty") == 1
    assert [f"x/{number}.nii" in text for number in range(FILES_SHOWN + 3)] == [True] * FILES_SHOWN + [False] * 3
    assert "and 3 more" in text


def test_long_names_are_folded_and_not_cut_off_on_a_narrow_terminal():
    name = "".join(f"{number:03d}" for number in range(30))
    text = shown([EMPTY.at(Path(name), "case")], width=60)
    column = "".join(line.split("│")[2].strip() for line in text.splitlines() if line.count("│") == 5)
    assert column == name


def test_json_holds_every_finding_with_its_kind():
    content = json.loads(findings_json([EMPTY, UNIT]))
    assert (content["errors"], content["warnings"]) == (1, 1)
    assert content["findings"][0] == {
        "level": "error",
        "kind": "empty_file",
        "row": 4,
        "case": "b",
        "file": "x/b.nii",
        "problem": "the file is empty",
        "remedy": "copy it again",
    }
    assert content["findings"][1]["kind"] == "unit"


def test_json_of_nothing_is_a_list_without_findings():
    assert json.loads(findings_json([])) == {"errors": 0, "warnings": 0, "findings": []}
