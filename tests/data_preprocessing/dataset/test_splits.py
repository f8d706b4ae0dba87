import json
from pathlib import Path

import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.dataset import load_dataset
from data_preprocessing.dataset.leakage import equal_files
from data_preprocessing.dataset.splits import StatedFold, check_splits, read_splits, split_warnings
from data_preprocessing.dataset.verify import check_dataset
from data_preprocessing.images.checks.finding import Row
from data_preprocessing.jobs.backend import Processes
from tests.data_preprocessing.samples import refused, write_tiny_dataset

LABEL = np.zeros((8, 8, 8), np.uint8)
LABEL[2:5, 2:5, 2:5] = 1


def write(folder: Path, content: object) -> Path:
    path = folder / "splits_final.json"
    path.write_text(json.dumps(content))
    return path


def test_nnunets_file_is_read_as_it_is(tmp_path):
    path = write(tmp_path, [{"train": ["a", "b"], "val": ["c"]}, {"train": ["c", "b"], "val": ["a"]}])
    assert read_splits(path) == (StatedFold(train=("a", "b"), val=("c",)), StatedFold(train=("c", "b"), val=("a",)))


def test_a_single_fold_needs_no_list(tmp_path):
    assert read_splits(write(tmp_path, {"train": ["a"], "val": ["b"]})) == (StatedFold(train=("a",), val=("b",)),)


@pytest.mark.parametrize(
    "content",
    [
        [], {}, "a", None, [["a"], ["b"]], [{"train": ["a"]}], [{"train": ["a"], "val": []}],
        [{"train": "ab", "val": ["c"]}], [{"train": ["a", "b"], "val": ["b"]}], [{"train": [1], "val": [2]}],
    ],
)  # fmt: skip
def test_what_is_no_split_is_refused(tmp_path, content):
    path = write(tmp_path, content)
    with refused(path):
        read_splits(path)


def test_a_missing_or_damaged_file_is_refused(tmp_path):
    with refused(tmp_path / "none.json"):
        read_splits(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('[{"train": ["a"')
    with refused(tmp_path / "half.json"):
        read_splits(tmp_path / "half.json")


def test_an_unknown_case_is_refused():
    with pytest.raises(UserError, match="case_9"):
        check_splits([StatedFold(train=("a",), val=("case_9",))], {"a", "b"}, "splits.json")


def test_divided_patients_equal_images_and_unused_cases_are_told(tmp_path):
    files = {}
    for name, content in {"a": b"1", "b": b"2", "c": b"2", "d": b"4", "e": b"5"}.items():
        files[name] = tmp_path / name
        files[name].write_bytes(content * 300_000)
    lines = split_warnings([StatedFold(train=("a", "b"), val=("c", "d"))], files, {"a": "patient x", "d": "patient x"})
    assert len(lines) == 3
    assert "patient x" in lines[0] and "a, d" in lines[0]
    assert "b, c" in lines[1]
    assert lines[2].endswith("e")
    assert split_warnings([StatedFold(train=("b", "c"), val=("a", "d", "e"))], files, {}) == []


def test_files_are_equal_by_all_their_bytes(tmp_path):
    content = bytearray(500_000)
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "b").write_bytes(content)
    content[250_000] = 1
    (tmp_path / "c").write_bytes(content)
    assert equal_files({name: tmp_path / name for name in "cba"}) == [["a", "b"]]


@pytest.fixture
def folder(tmp_path) -> Path:
    write_tiny_dataset(tmp_path / "Task91_Tiny", dict.fromkeys(("a", "b", "c"), LABEL))
    return tmp_path / "Task91_Tiny"


def change(folder: Path, **changes) -> None:
    path = folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_groups_come_from_dataset_json(folder):
    change(folder, groups={"a": "p1", "b": 7})
    assert load_dataset(folder.parent, folder.name).groups == {"a": "p1", "b": "7"}


@pytest.mark.parametrize("groups", [["a"], {"x": "p1"}, {"a": ["p1"]}, "p1"])
def test_groups_that_are_none_are_refused(folder, groups):
    change(folder, groups=groups)
    with refused(folder / "dataset.json", "groups"):
        load_dataset(folder.parent, folder.name)


def test_the_check_counts_groups_and_tells_equal_images(folder):
    def rows(folds: int) -> list[Row]:
        findings = check_dataset(folder.name, None, folder.parent, Processes(), folds=folds)
        return [finding.row for finding in findings if finding.row in (Row.FEW_CASES, Row.LISTED_TWICE)]

    assert rows(3) == []
    change(folder, groups={"a": "p1", "b": "p1"})
    assert rows(2) == []
    assert rows(3) == [Row.FEW_CASES]
    image = folder / "imagesTr"
    (image / "c.nii.gz").write_bytes((image / "a.nii.gz").read_bytes())
    assert rows(2) == [Row.LISTED_TWICE]
    change(folder, groups=dict.fromkeys("abc", "p1"))
    assert rows(0) == []
