import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_preprocessing.common import files
from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import checksum, refuse_clashing_names
from data_preprocessing.planning.plan import make_plan
from data_preprocessing.shards import format as shards
from data_preprocessing.shards.format import (
    MANIFEST_NAME,
    ROWS_PER_CLASS,
    CaseRecord,
    Manifest,
    check_config,
    filling,
    finish_folder,
    foreground_path,
    foreground_table,
    image_path,
    label_path,
    open_shards,
    record_path,
    shard_key,
    write_case,
)
from tests.data_preprocessing.samples import make_config, make_dataset, refused

SHAPE = (4, 5, 6)
CONFIG = make_config()
PLAN = make_plan(CONFIG, make_dataset(), 3)

every_shard_file = pytest.mark.parametrize("path", [image_path, label_path, foreground_path])


def record_of(name):
    return CaseRecord(
        name=name,
        key=shard_key(PLAN, "float32"),
        affine=np.diag([1.0, 2.0, 1 / 3, 1.0]).tolist(),
        shape=(6, 7, 8),
        spacing=(1.0, 1.0, 1.0),
        crop_box=((1, 5), (1, 6), (1, 7)),
        shard_shape=SHAPE,
        class_voxels=[100, 20],
        sources={},
    )


def arrays_of(seed=0):
    random = np.random.default_rng(seed)
    return random.random((*SHAPE, 2), np.float32), random.integers(0, 2, SHAPE, np.uint8)


def manifest_of(names, files, **changes):
    fields = {
        "config": CONFIG,
        "config_hash": PLAN.config_hash,
        "shard_type": "float32",
        "versions": {"numpy": "2"},
        "cases": list(names),
        "files": files,
    }
    return Manifest(**(fields | changes))


def fill(folder, names=("a", "b"), **changes):
    """Writes a complete shard folder; returns its manifest."""
    files = {}
    with filling(folder):
        for seed, name in enumerate(names):
            files |= write_case(folder, *arrays_of(seed), record_of(name), "float32", seed).files
        manifest = manifest_of(names, files, **changes)
        finish_folder(folder, PLAN, manifest)
    return manifest


def test_a_complete_folder_opens_with_its_plan_and_manifest(tmp_path):
    manifest = fill(tmp_path)
    assert open_shards(tmp_path, "mend it") == (PLAN, manifest)


@pytest.mark.parametrize("wrong", ["a file lost", "a file of no case", "a case twice", "no case", "a checksum"])
def test_a_manifest_that_does_not_hold_together_is_refused(tmp_path, wrong):
    content = json.loads(fill(tmp_path).model_dump_json())
    match wrong:
        case "a file lost":
            del content["files"]["a_f.npy"]
        case "a file of no case":
            content["files"]["c_x.npy"] = content["files"]["a_x.npy"]
        case "a case twice":
            content["cases"] = ["a", "b", "a"]
        case "no case":
            content |= {"cases": [], "files": {}}
        case "a checksum":
            content["files"]["a_x.npy"]["sha256"] = "unknown"
    (tmp_path / MANIFEST_NAME).write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"^{tmp_path / MANIFEST_NAME}: (cases|files).*; mend it$"):
        open_shards(tmp_path, "mend it")


def test_a_case_has_one_checksum_that_follows_each_of_its_files(tmp_path):
    before = fill(tmp_path).case_checksums()
    assert before == fill(tmp_path).case_checksums()
    assert before["a"] != before["b"]
    image, label = arrays_of()
    for changed in ((image + 1, label), (image, 1 - label)):
        files = write_case(tmp_path, *changed, record_of("a"), "float32", 0).files
        assert manifest_of(["a"], files).case_checksums()["a"] != before["a"]


def test_a_case_reads_back_without_pickle(tmp_path):
    fill(tmp_path)
    image, label = arrays_of(1)
    np.testing.assert_array_equal(np.load(image_path(tmp_path, "b"), allow_pickle=False), image)
    np.testing.assert_array_equal(np.load(label_path(tmp_path, "b"), allow_pickle=False), label[..., np.newaxis])


def test_a_record_reads_back_with_the_files_of_its_case(tmp_path):
    manifest = fill(tmp_path, ("b",))
    record = CaseRecord.model_validate_json(record_path(tmp_path, "b").read_text())
    assert record == record_of("b").model_copy(update={"files": manifest.files})


@pytest.mark.parametrize("shard_type", ["float32", "float16"])
@pytest.mark.parametrize("given", [np.float32, np.float64])
def test_an_image_is_stored_as_the_type_asked_for(tmp_path, given, shard_type):
    image, label = arrays_of()
    write_case(tmp_path, image.astype(given), label, record_of("a"), shard_type, 0)
    stored = np.load(image_path(tmp_path, "a"))
    assert stored.dtype == shard_type
    np.testing.assert_allclose(stored, image, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_label_keeps_its_type(tmp_path, dtype):
    image, label = arrays_of()
    write_case(tmp_path, image, label.astype(dtype), record_of("a"), "float32", 0)
    assert np.load(label_path(tmp_path, "a")).dtype == dtype


def test_the_manifest_has_size_and_checksum_of_every_file(tmp_path):
    manifest = fill(tmp_path)
    names = {f"{case}{ending}" for case in "ab" for ending in ("_x.npy", "_y.npy", "_f.npy")}
    assert set(manifest.files) == names
    for name, record in manifest.files.items():
        assert (record.size, record.sha256) == ((tmp_path / name).stat().st_size, checksum(tmp_path / name))


def test_writing_a_case_again_gives_the_same_bytes(tmp_path):
    assert fill(tmp_path / "first").files == fill(tmp_path / "second").files


@pytest.mark.parametrize("name", ["plan.json", MANIFEST_NAME])
def test_a_folder_without_plan_or_manifest_is_refused(tmp_path, name):
    fill(tmp_path)
    (tmp_path / name).unlink()
    with refused(tmp_path / name, "no such file; mend it$"):
        open_shards(tmp_path, "mend it")


@pytest.mark.parametrize("changes", [{"spacing": [3.0, 3.0, 3.0]}, {"axis_order": [2, 1, 0]}, {"nonzero_mask": True}])
def test_a_plan_that_the_shards_were_not_made_with_is_refused(tmp_path, changes):
    fill(tmp_path)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with refused(path, "; mend it$"):
        open_shards(tmp_path, "mend it")


def test_a_plan_says_how_to_train_and_not_what_the_shards_are(tmp_path):
    fill(tmp_path)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"training": {"epochs": 7}}))
    assert open_shards(tmp_path, "mend it")[0].training.epochs == 7


def test_a_folder_that_is_being_filled_again_is_refused(tmp_path):
    fill(tmp_path)
    with filling(tmp_path), refused(tmp_path / MANIFEST_NAME, "; mend it$"):
        open_shards(tmp_path, "mend it")


def test_a_folder_is_filled_by_one_at_a_time(tmp_path):
    with filling(tmp_path), refused(tmp_path, "another preprocess.py"), filling(tmp_path):
        pass


@pytest.mark.parametrize("content", ["", "{}", '{"cases": 3}', "[]"])
def test_a_damaged_manifest_is_refused(tmp_path, content):
    fill(tmp_path)
    (tmp_path / MANIFEST_NAME).write_text(content)
    with refused(tmp_path / MANIFEST_NAME, "; mend it$"):
        open_shards(tmp_path, "mend it")


@every_shard_file
def test_a_missing_file_is_refused(tmp_path, path):
    fill(tmp_path)
    path(tmp_path, "b").unlink()
    with refused(path(tmp_path, "b"), "missing.*; mend it$"):
        open_shards(tmp_path, "mend it")


@every_shard_file
def test_a_truncated_file_is_refused(tmp_path, path):
    fill(tmp_path)
    content = path(tmp_path, "b").read_bytes()
    path(tmp_path, "b").write_bytes(content[:-1])
    with refused(path(tmp_path, "b"), "wrong size.*; mend it$"):
        open_shards(tmp_path, "mend it")


def test_plan_and_manifest_of_different_configs_are_refused(tmp_path):
    fill(tmp_path, config_hash="another")
    with refused(tmp_path, "different configs; mend it$"):
        open_shards(tmp_path, "mend it")


@pytest.mark.parametrize("found", [None, 1, 3])
def test_shards_of_another_format_are_refused_and_told_so(tmp_path, found):
    fill(tmp_path)
    content = json.loads((tmp_path / MANIFEST_NAME).read_text())
    del content["format"]  # as in the first one
    (tmp_path / MANIFEST_NAME).write_text(json.dumps(content | ({"format": found} if found else {})))
    with refused(tmp_path, "format.*; mend it$"):
        open_shards(tmp_path, "mend it")


def test_cases_of_another_format_are_not_kept(monkeypatch):
    key = shard_key(PLAN, "float32")
    monkeypatch.setattr(shards, "SHARD_FORMAT", shards.SHARD_FORMAT + 1)
    assert shard_key(PLAN, "float32") != key


def test_what_another_config_leaves_open_is_told_in_words(tmp_path):
    made, wanted = make_config(features=None), make_config(features=[4, 8])
    with refused(tmp_path, r"features is \(4, 8\), was left open"):
        check_config(tmp_path, manifest_of([], {}, config=made), wanted, "make them again")


def test_shards_of_a_removed_case_disappear(tmp_path):
    fill(tmp_path, ("a", "b", "c"))
    fill(tmp_path, ("a", "b"))
    assert not list(tmp_path.glob("c*"))
    assert open_shards(tmp_path, "mend it")[1].cases == ["a", "b"]


def test_leftovers_of_a_killed_run_disappear(tmp_path):
    for name in (".123.c_x.npy", ".123.c.json", ".123.plan.json"):
        (tmp_path / name).write_bytes(b"half")
    fill(tmp_path)
    assert not list(tmp_path.glob(".123*"))


def test_files_of_other_kinds_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    fill(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_foreground_rows_are_shared_equally_among_the_classes():
    label = np.zeros((10, 20, 30), np.uint8)
    label[:8] = 1  # 4800 voxels
    label[8, 3, 4:7] = 2  # 3 voxels
    label[9] = 5  # 600 voxels
    table = foreground_table(label, seed=0)
    classes, counts = np.unique(label[tuple(table.T)], return_counts=True)
    assert classes.tolist() == [1, 2, 5]
    assert counts.tolist() == [ROWS_PER_CLASS] * 3


def test_foreground_rows_are_voxels_of_the_label():
    label = (np.random.default_rng(0).random((5, 6, 7)) > 0.9).astype(np.uint8) * 3
    table = foreground_table(label, seed=0)
    assert table.dtype == np.int32
    assert set(map(tuple, table.tolist())) == set(map(tuple, np.argwhere(label).tolist()))


def test_many_voxels_of_a_class_are_drawn_without_repetition_from_all_of_it():
    label = np.ones((20, 20, 20), np.uint8)
    table = foreground_table(label, seed=0)
    assert len(np.unique(table, axis=0)) == ROWS_PER_CLASS
    np.testing.assert_allclose(table.mean(axis=0), 9.5, atol=1)


def test_foreground_rows_depend_on_the_seed_alone():
    label = np.ones((20, 20, 20), np.uint8)
    np.testing.assert_array_equal(foreground_table(label, 1), foreground_table(label, 1))
    assert not np.array_equal(foreground_table(label, 1), foreground_table(label, 2))


def test_without_foreground_there_is_one_row_of_minus_one():
    table = foreground_table(np.zeros((4, 5, 6), np.uint8), seed=0)
    assert (table.tolist(), table.dtype) == ([[-1, -1, -1]], np.int32)


def test_opening_a_folder_that_does_not_exist_is_refused(tmp_path):
    with refused(tmp_path / "none", "no such file; mend it$"):
        open_shards(tmp_path / "none", "mend it")


ODD_NAMES = (
    *("plan", "manifest", "Plan", "plan_", "plan__", "manifest_", "plan_x", "validation", "dataset", "summary"),
    *("a", "a_x", "a_y", "a_f", "a.json", ".lock", "..", "-rf", "a b", "a [b]", "肝", "$x$", "_", "x.npy", ".1.2"),
)


def test_cases_of_any_name_keep_their_files_and_records(tmp_path):
    for _ in range(2):  # and are not cleared away when the folder is filled again
        manifest = fill(tmp_path, ODD_NAMES)
    assert open_shards(tmp_path, "") == (PLAN, manifest)
    paths = [
        path(tmp_path, name) for name in ODD_NAMES for path in (image_path, label_path, foreground_path, record_path)
    ]
    assert len({path.name for path in paths}) == 4 * len(ODD_NAMES)
    assert {path.name for path in paths} == {path.name for path in tmp_path.iterdir()} - {
        MANIFEST_NAME, "plan.json", ".lock"
    }  # fmt: skip
    for seed, name in enumerate(ODD_NAMES):
        record = CaseRecord.model_validate_json(record_path(tmp_path, name).read_text())
        assert record.name == name
        np.testing.assert_array_equal(np.load(image_path(tmp_path, name)), arrays_of(seed)[0])


@given(st.lists(st.from_regex(r"(plan|manifest|PLAN|a)?_{0,3}(x|json)?", fullmatch=True), unique=True))
def test_no_two_names_share_a_file(names):
    every_path = (image_path, label_path, foreground_path, record_path)
    made = {path(Path("f"), name).name for name in names for path in every_path}
    assert len(made) == 4 * len(names)
    assert not made & {MANIFEST_NAME, "plan.json"}


def test_names_that_differ_in_case_alone_are_refused_where_they_are_one_file(tmp_path, monkeypatch):
    names = ["Case", "other", "case"]
    refuse_clashing_names(tmp_path, names)  # of a Linux disk
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(files, "_ignores_case", lambda folder: True)
    refuse_clashing_names(tmp_path, names[:2])
    with refused(tmp_path):
        refuse_clashing_names(tmp_path, names)
    with refused(tmp_path):
        refuse_clashing_names(tmp_path, ["\u00e9", "e\u0301"])
