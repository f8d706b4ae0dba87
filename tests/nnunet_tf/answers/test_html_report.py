import base64
import json
from html.parser import HTMLParser

import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.answers.flags import Flag
from nnunet_tf.answers.html_report import write_report
from nnunet_tf.answers.statistics import CaseStatistics, StructureStatistics
from nnunet_tf.answers.statistics_files import write_case

EMPTY_TAGS = ("meta", "img")
PICTURE = b"\x89PNG picture"


class Page(HTMLParser):
    """Cells by row, sources of pictures, and whether all tags are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.sources, self.open, self.classes = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        assert not {"href", "action"} & set(attributes)
        self.sources += [attributes["src"]] if "src" in attributes else []
        if tag not in EMPTY_TAGS:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
            self.classes.append(attributes.get("class"))
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def write_made_up(folder):
    rows = [StructureStatistics(structure="a & b", value=1, voxels=10, volume_ml=1.5, components=2)]
    for name, flags in (("plain", []), ("<script>odd", [Flag(code="volume", structure="a & b", text="too <large>")])):
        case = CaseStatistics(
            case=name, unit="mm", spacing=(1, 1, 1), shape=(9, 9, 9), structures=rows, flags=flags
        )  # fmt: skip
        write_case(folder, case)
    (folder / "preview").mkdir()
    (folder / "preview" / "plain.png").write_bytes(PICTURE)


def test_flagged_cases_come_first_and_names_are_text(tmp_path):
    write_made_up(tmp_path)
    assert write_report(tmp_path / "report.html", tmp_path) == 2
    page = Page((tmp_path / "report.html").read_text())
    assert [row[:3] for row in page.rows] == [
        ["case", "structure", "look at"],
        ["<script>odd", "a & b", "too <large>"],
        ["plain", "a & b", ""],
    ]
    assert page.classes == [None, "flagged", None]
    assert page.rows[1][3:5] == ["1.5", "2"]


def test_the_file_loads_nothing_and_holds_the_pictures(tmp_path):
    write_made_up(tmp_path)
    write_report(tmp_path / "report.html", tmp_path)
    text = (tmp_path / "report.html").read_text()
    (source,) = Page(text).sources
    assert base64.b64decode(source.removeprefix("data:image/png;base64,")) == PICTURE
    assert "http:" not in text
    assert "https:" not in text
    assert "default-src 'none'" in text


def test_scores_stand_beside(tmp_path):
    write_made_up(tmp_path)
    scores = [{"case": "plain", "structure": "a & b", "dice": 0.75, "hd95_mm": "Infinity"}]
    (tmp_path / "scores.json").write_text(json.dumps({"scores": scores}))
    write_report(tmp_path / "report.html", tmp_path, tmp_path / "scores.json")
    rows = Page((tmp_path / "report.html").read_text()).rows
    assert rows[0][3:5] == ["dice", "hd95_mm"]
    assert rows[2][3:5] == ["0.75", "inf"]
    assert rows[1][3:5] == ["", ""]


@pytest.mark.parametrize("content", [None, "[]", "{", '{"scores": 3}'])
def test_what_cannot_be_shown_is_refused(tmp_path, content):
    with pytest.raises(UserError, match=tmp_path.name):
        write_report(tmp_path / "report.html", tmp_path)
    write_made_up(tmp_path)
    if content is not None:
        (tmp_path / "scores.json").write_text(content)
    with pytest.raises(UserError, match=r"scores\.json"):
        write_report(tmp_path / "report.html", tmp_path, tmp_path / "scores.json")
    assert not (tmp_path / "report.html").exists()
