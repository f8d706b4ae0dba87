import json
import os
import re
import signal

import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.dataset import load_dataset
from data_preprocessing.dataset.training_case import class_indices
from data_preprocessing.jobs.backend import Processes
from data_preprocessing.planning.plan import make_plan
from data_preprocessing.shards import pipeline
from data_preprocessing.shards.format import (
    MANIFEST_NAME,
    foreground_path,
    image_path,
    label_path,
    open_shards,
)
from data_preprocessing.shards.pipeline import preprocess, preprocess_case
from tests.data_preprocessing.samples import make_config, refused, save, write_tiny_dataset

SHAPE = (8, 8, 8)


def labels_of(*numbers, shape=SHAPE):
    """RAS voxels: background, and one layer for each of `numbers`."""
    label = np.zeros(shape, np.uint8)
    for layer, number in enumerate(numbers, start=1):
        label[layer] = number
    return label


@pytest.fixture
def tiny(tmp_path):
    """A `--data` folder with three cases of 8 voxels a side, and their files by name."""
    data = tmp_path / "data"
    cases = write_tiny_dataset(data / "Task91_Tiny", {name: labels_of(1) for name in ("a", "b", "c")})
    return data, cases


def run(data, folder, processes=1, on_case=lambda done, total, failed: None):
    """Preprocesses the tiny data set under `data` into `folder`; returns the summary."""
    config = make_config()
    dataset = load_dataset(data, config.dataset)
    plan = make_plan(config, dataset, 3)
    return preprocess(config, dataset, plan, folder, Processes(processes), on_case=on_case)


def assert_failed(summary, case, path, match):
    """The one failure is the user's, of `case`, in one line that names `path`; the folder has no manifest."""
    (failure,) = summary.failures
    assert (failure.name, failure.user_error) == (case, True)
    assert failure.failure.startswith(str(path))
    assert re.search(match, failure.failure)
    assert len(failure.failure.splitlines()) == 1
    assert not (summary.folder / MANIFEST_NAME).exists()


def test_the_summary_has_the_records_and_the_size_of_all_shards(tiny, tmp_path):
    summary = run(tiny[0], tmp_path / "shards")
    manifest = open_shards(tmp_path / "shards", "mend it")[1]
    assert (summary.folder, summary.failures) == (tmp_path / "shards", [])
    assert [record.name for record in summary.records] == ["a", "b", "c"]
    assert [record.class_voxels for record in summary.records] == [[7 * 64, 64]] * 3
    assert summary.bytes == sum((summary.folder / name).stat().st_size for name in manifest.files)


def test_progress_is_told_after_each_case(tiny, tmp_path):
    told = []
    data, cases = tiny
    run(data, tmp_path / "shards", on_case=lambda *case: told.append(case))
    assert told == [(1, 3, 0), (2, 3, 0), (3, 3, 0)]
    save(cases["b"].label, labels_of(1, 7), np.eye(4))
    run(data, tmp_path / "shards", on_case=lambda *case: told.append(case))
    assert told[-1] == (3, 3, 1)


@pytest.mark.parametrize("processes", [1, 2])
def test_an_undeclared_label_fails_naming_value_and_file(tiny, tmp_path, processes):
    data, cases = tiny
    save(cases["b"].label, labels_of(1, 7), np.eye(4))
    summary = run(data, tmp_path / "shards", processes)
    assert_failed(summary, "b", cases["b"].label, "label 7 is not declared.*0=background, 1=organ")


def test_a_truncated_image_fails_naming_the_file(tiny, tmp_path):
    data, cases = tiny
    image = cases["c"].images[0]
    image.write_bytes(image.read_bytes()[:-20])
    assert_failed(run(data, tmp_path / "shards"), "c", image, "truncated or damaged")


def test_a_label_on_another_grid_fails_naming_the_file(tiny, tmp_path):
    data, cases = tiny
    save(cases["b"].label, labels_of(1), np.diag([1, 1, 2, 1]))
    assert_failed(run(data, tmp_path / "shards"), "b", cases["b"].label, "affine")


def test_a_wrong_channel_count_fails_naming_the_file(tiny, tmp_path):
    data, cases = tiny
    image = save(cases["b"].images[0], np.ones((*SHAPE, 2), np.int16), np.eye(4))
    assert_failed(run(data, tmp_path / "shards"), "b", image, "2 channels where Task91_Tiny has 1")


def test_the_cases_beside_a_failed_one_are_done(tiny, tmp_path):
    data, cases = tiny
    cases["b"].images[0].write_bytes(b"")
    summary = run(data, tmp_path / "shards")
    assert [record.name for record in summary.records] == ["a", "c"]
    assert image_path(summary.folder, "c").is_file()


def test_every_failed_case_is_told(tiny, tmp_path):
    data, cases = tiny
    for name in "ac":
        cases[name].images[0].write_bytes(b"")
    assert [failure.name for failure in run(data, tmp_path / "shards").failures] == ["a", "c"]


def test_a_failed_run_takes_the_manifest_of_an_earlier_one_away(tiny, tmp_path):
    data, cases = tiny
    folder = run(data, tmp_path / "shards").folder
    cases["a"].images[0].write_bytes(b"")
    assert_failed(run(data, folder), "a", cases["a"].images[0], "empty")
    with refused(folder / MANIFEST_NAME, "no such file"):
        open_shards(folder, "mend it")


def test_shards_of_a_removed_case_disappear(tiny, tmp_path):
    data, _ = tiny
    run(data, tmp_path / "shards")
    path = data / "Task91_Tiny" / "dataset.json"
    content = json.loads(path.read_text())
    content["training"] = [entry for entry in content["training"] if "/b." not in entry["image"]]
    path.write_text(json.dumps(content))
    folder = run(data, tmp_path / "shards").folder
    assert open_shards(folder, "mend it")[1].cases == ["a", "c"]
    assert not list(folder.glob("b*"))


def test_gaps_in_the_label_numbers_are_closed_and_come_back_by_the_plan(tmp_path):
    label = labels_of(1, 4, 4, 0, 1)
    names = {"0": "background", "1": "organ", "4": "lesion"}
    write_tiny_dataset(tmp_path / "Task91_Tiny", {"a": label}, names)
    folder = run(tmp_path, tmp_path / "shards").folder
    plan, _ = open_shards(folder, "mend it")
    classes = np.load(label_path(folder, "a"))[..., 0]
    assert np.unique(classes).tolist() == [0, 1, 2]
    np.testing.assert_array_equal(np.array(plan.label_values)[classes].transpose(2, 1, 0), label)


def test_an_empty_label_among_others_is_fine_and_has_no_foreground_row(tmp_path):
    write_tiny_dataset(tmp_path / "Task91_Tiny", {"a": labels_of(1), "b": labels_of()})
    folder = run(tmp_path, tmp_path / "shards").folder
    assert open_shards(folder, "mend it")[1].cases == ["a", "b"]
    assert np.load(foreground_path(folder, "b")).tolist() == [[-1, -1, -1]]


def test_labels_that_are_all_empty_are_refused(tmp_path):
    write_tiny_dataset(tmp_path / "Task91_Tiny", {"a": labels_of(), "b": labels_of()})
    with refused(tmp_path / "Task91_Tiny", "foreground"):
        run(tmp_path, tmp_path / "shards")
    assert not (tmp_path / "shards" / MANIFEST_NAME).exists()


def test_more_than_255_foreground_classes_are_uint16(tmp_path):
    names = {str(number): f"class {number}" for number in range(301)}
    label = np.arange(512).reshape(SHAPE).clip(max=300).astype(np.uint16)
    write_tiny_dataset(tmp_path / "Task91_Tiny", {"a": label}, names)
    classes = np.load(label_path(run(tmp_path, tmp_path / "shards").folder, "a"))[..., 0]
    assert classes.dtype == np.uint16
    np.testing.assert_array_equal(classes.transpose(2, 1, 0), label)


@pytest.mark.parametrize(("count", "dtype"), [(2, np.uint8), (256, np.uint8), (257, np.uint16)])
def test_class_indices_are_as_narrow_as_the_classes_allow(tmp_path, count, dtype):
    names = {number * 3: str(number) for number in range(count)}
    labels = np.array([0, 3, (count - 1) * 3])
    indices = class_indices(labels, names, tmp_path)
    assert (indices.tolist(), indices.dtype) == ([0, 1, count - 1], dtype)


@pytest.mark.parametrize("number", [2, 3, 5, 10**9])
def test_a_number_in_a_gap_or_past_the_end_is_undeclared(tmp_path, number):
    with refused(tmp_path, f"label {number} is not declared"):
        class_indices(np.array([0, 1, number, 4]), {0: "background", 1: "organ", 4: "lesion"}, tmp_path)


def test_a_long_list_of_undeclared_numbers_is_cut_short(tmp_path):
    with pytest.raises(UserError) as caught:
        class_indices(np.arange(1000), {0: "background"}, tmp_path)
    assert len(str(caught.value)) < 300


def test_the_huge_label_numbers_of_an_atlas_need_no_huge_table(tmp_path):
    numbers = {0: "background", 7: "nucleus", 4_000_000_000: "tract"}
    labels = np.array([[[0, 7, 4_000_000_000]]], np.uint32)
    assert class_indices(labels, numbers, tmp_path).ravel().tolist() == [0, 1, 2]


def die_on_case_b(case, *arguments):
    """Stands in for `preprocess_case` in a worker that the system kills."""
    if case.name == "b":
        os.kill(os.getpid(), signal.SIGKILL)
    return preprocess_case(case, *arguments)


def test_a_worker_that_dies_is_one_failed_case_and_the_folder_stays_incomplete(tiny, tmp_path, monkeypatch):
    data, _ = tiny
    monkeypatch.setattr(pipeline, "preprocess_case", die_on_case_b)
    config = make_config()
    dataset = load_dataset(data, config.dataset)
    summary = preprocess(config, dataset, make_plan(config, dataset, 3), tmp_path / "shards", Processes(2))
    assert [(outcome.name, outcome.user_error) for outcome in summary.failures] == [("b", False)]
    assert [record.name for record in summary.records] == ["a", "c"]
    assert not (tmp_path / "shards" / MANIFEST_NAME).exists()


def test_a_case_that_may_not_fit_into_memory_is_told_and_worked_on_all_the_same(tiny, tmp_path):
    data, _ = tiny
    config = make_config()
    dataset = load_dataset(data, config.dataset)
    told = []
    plan, resources = make_plan(config, dataset, 3), Processes(2, memory=2**20)
    summary = preprocess(config, dataset, plan, tmp_path / "shards", resources, warn=told.append)
    assert [message.split(":")[0] for message in told] == ["case a", "case b", "case c"]
    assert len(summary.records) == 3
