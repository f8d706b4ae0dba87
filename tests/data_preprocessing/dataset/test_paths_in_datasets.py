"""Wherever the files of a data set lie and however they are named: checked and preprocessed alike."""

import json
import os

import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.open_dataset import open_dataset
from data_preprocessing.dataset.verify import check_dataset
from data_preprocessing.images.checks.finding import Finding, Row
from data_preprocessing.jobs.backend import Processes
from data_preprocessing.planning.plan import make_plan
from data_preprocessing.shards.pipeline import preprocess
from tests.data_preprocessing.samples import make_config, write_tiny_dataset

NAME = "Task91_Tiny"
LAYOUTS = ("inside", "absolute", "absolute elsewhere", "up and down", "links", "linked folders", "linked data")


def write(home, layout):
    """Writes three cases; returns the --data folder to name."""
    label = np.zeros((8, 8, 8), np.uint8)
    label[2:5, 3:6, 1:4] = 1
    folder = home / "data" / NAME
    cases = write_tiny_dataset(folder, dict.fromkeys("abc", label))
    content = json.loads((folder / "dataset.json").read_text())
    store = home / "store"
    if layout in ("absolute elsewhere", "up and down", "links", "linked folders"):
        store.mkdir()
        for part in ("imagesTr", "labelsTr"):
            (folder / part).rename(store / part)
            if layout == "linked folders":
                (folder / part).symlink_to(os.path.relpath(store / part, folder))
            if layout == "links":
                (folder / part).mkdir()
                for file in (store / part).iterdir():
                    (folder / part / file.name).symlink_to(file)
    roots = {"absolute": f"{folder}/", "absolute elsewhere": f"{store}/", "up and down": "../../data/../store/"}
    content["training"] = [
        {part: roots.get(layout, "") + entry[part].removeprefix("./") for part in entry}
        for entry in content["training"]
    ]
    (folder / "dataset.json").write_text(json.dumps(content))
    assert len(cases) == 3
    if layout == "linked data":
        (home / "link").symlink_to(home / "data")
        return home / "link"
    return home / "data"


def run(data, shards):
    config = make_config()
    dataset = open_dataset(data, NAME)
    plan = make_plan(config, dataset, 3)
    return preprocess(config, dataset, plan, shards, Processes())


@pytest.mark.parametrize("named", ["absolute", "relative", "here", "up"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_checked_is_preprocessed(tmp_path, monkeypatch, layout, named):
    data = write(tmp_path, layout)
    (tmp_path / "elsewhere").mkdir()
    if named != "absolute":
        monkeypatch.chdir({"relative": tmp_path, "here": data, "up": tmp_path / "elsewhere"}[named])
        data = data.__class__(os.path.relpath(data))
    assert check_dataset(NAME, 3, data, Processes(), folds=3, read=True) == []
    summary = run(data, tmp_path / "shards")
    assert (len(summary.records), summary.failures) == (3, [])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_another_way_to_name_the_folder_redoes_nothing(tmp_path, monkeypatch, layout):
    data = write(tmp_path, layout)
    first = run(data, tmp_path / "shards").records
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "shards").glob("*_x.npy")}
    monkeypatch.chdir(data)
    assert run(data.__class__("."), tmp_path / "shards").records == first
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_regions_that_do_not_hold_together_are_found_by_the_check(tmp_path):
    data = write(tmp_path, "inside")
    path = data / NAME / "dataset.json"
    content = json.loads(path.read_text()) | {"labels": {"background": 0, "a": [1, 2], "b": 1}}
    path.write_text(json.dumps(content))
    with pytest.raises(UserError) as refusal:
        open_dataset(data, NAME)
    errors = [finding for finding in check_dataset(NAME, 3, data, Processes(), folds=3) if finding.level == "error"]
    assert [f"{each.file}: {each.problem}; {each.remedy}" for each in errors] == [str(refusal.value)]


def test_what_only_the_reading_refuses_is_found_by_it(tmp_path, monkeypatch):
    data = write(tmp_path, "inside")

    def refuse(case, dataset, trust_grid):
        raise UserError(f"{case.label}: is odd; mend it")

    monkeypatch.setattr("data_preprocessing.dataset.verify_reading.read_training_case", refuse)
    findings = check_dataset(NAME, 3, data, Processes(), folds=3, read=True)
    assert findings == [
        Finding(
            level="error", case=name, file=str(data / NAME / "labelsTr" / f"{name}.nii.gz"), problem="is odd",
            remedy="mend it", row=Row.LISTING,
        )
        for name in "abc"
    ]  # fmt: skip
    assert check_dataset(NAME, 3, data, Processes(), folds=3) == []
