import errno
import hashlib
import json
import sys

import numpy as np
import pytest

from data_preprocessing.common.files import (
    LOCK_NAME,
    atomic_path,
    checksum,
    kept_folder,
    new_folder,
    read_model,
    validated,
    write_array,
    write_json,
    write_model,
)
from data_preprocessing.common.task import Strict
from tests.data_preprocessing.samples import refused


class Pair(Strict):
    left: int
    right: int = 0


def write_half_and_fail(path):
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("killed")


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError):
        write_half_and_fail(tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("whole")
    with pytest.raises(RuntimeError):
        write_half_and_fail(path)
    assert path.read_text() == "whole"


def test_the_final_name_appears_only_when_the_block_has_ended(tmp_path):
    path = tmp_path / "a.json"
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"


def test_who_has_the_old_file_open_keeps_reading_it_whole(tmp_path):
    write_json(tmp_path / "a.json", "old")
    with open(tmp_path / "a.json") as reader:
        write_json(tmp_path / "a.json", "new")
        assert reader.read() == '"old"\n'


def test_the_temporary_file_is_in_the_same_folder_and_keeps_the_suffixes(tmp_path):
    with atomic_path(tmp_path / "label.nii.gz") as temporary:
        temporary.touch()
        assert (temporary.parent, temporary.suffixes[-2:]) == (tmp_path, [".nii", ".gz"])


def test_a_new_folder_goes_again_where_the_block_fails_with_nothing_in_it(tmp_path):
    folder = tmp_path / "results" / "task" / "fold_0"
    with pytest.raises(RuntimeError), new_folder(folder):
        assert folder.is_dir()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError), new_folder(folder):
        (folder.parent / "mine").touch()
        raise RuntimeError
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]
    folder.mkdir()
    with pytest.raises(RuntimeError), new_folder(folder):
        raise RuntimeError
    assert folder.is_dir()  # it was there before


def test_a_new_folder_stays_where_all_goes_well(tmp_path):
    with new_folder(tmp_path / "results" / "fold_0"):
        pass
    assert (tmp_path / "results" / "fold_0").is_dir()


def test_a_missing_folder_is_made(tmp_path):
    write_json(tmp_path / "new" / "folder" / "a.json", [])
    assert (tmp_path / "new" / "folder" / "a.json").is_file()


def test_json_reads_back(tmp_path):
    content = {"name": "Prostata, ventrikel é", "numbers": [1, 2.5, None]}
    write_json(tmp_path / "a.json", content)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == content


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3), np.arange(24).reshape(2, 3, 4).T, np.zeros((0, 3))])
def test_an_array_reads_back_in_c_order(tmp_path, array):
    write_array(tmp_path / "a.npy", array)
    read = np.load(tmp_path / "a.npy", allow_pickle=False)
    np.testing.assert_array_equal(read, array)
    assert read.flags.c_contiguous
    assert read.dtype == array.dtype


def test_an_array_of_objects_is_not_pickled(tmp_path):
    with pytest.raises(ValueError, match=r"[Oo]bject arrays"):
        write_array(tmp_path / "a.npy", np.array([{}, []], dtype=object))
    assert list(tmp_path.iterdir()) == []


def test_a_model_reads_back(tmp_path):
    write_model(tmp_path / "pair.json", Pair(left=1, right=2))
    assert read_model(tmp_path / "pair.json", Pair, "mend it") == Pair(left=1, right=2)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "JSON"),
        (b'{"left": 1', "JSON"),
        (b'{"right": 1}', "left"),
        (b'{"left": "one"}', "left"),
        (b'{"left": 1, "middle": 2}', "middle"),
        (b"[1, 2]", "content"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_a_file_without_the_model_is_refused_ending_in_the_remedy(tmp_path, content, match):
    path = tmp_path / "pair.json"
    path.write_bytes(content)
    with refused(path, f"{match}.*; mend it$"):
        read_model(path, Pair, "mend it")


def test_a_missing_model_file_is_refused_ending_in_the_remedy(tmp_path):
    with refused(tmp_path / "pair.json", "no such file; mend it$"):
        read_model(tmp_path / "pair.json", Pair, "mend it")


def test_a_folder_in_place_of_a_model_file_is_refused(tmp_path):
    with refused(tmp_path, "cannot be read.*; mend it$"):
        read_model(tmp_path, Pair, "mend it")


def test_a_fault_of_the_program_is_not_taken_for_a_fault_of_the_file(tmp_path):
    with pytest.raises(ZeroDivisionError):
        validated(tmp_path, "mend it", lambda: Pair(left=1 // 0))


def test_the_checksum_is_the_sha256_of_the_bytes(tmp_path):
    content = bytes(range(256)) * 300
    (tmp_path / "a.bin").write_bytes(content)
    assert checksum(tmp_path / "a.bin") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("problem", [OSError(errno.ENOSYS, "not implemented"), OSError(errno.ENOLCK, "no locks"), None])
def test_where_there_are_no_locks_the_work_goes_on_with_a_warning(tmp_path, monkeypatch, problem):
    def flock(file, how):
        raise problem

    if problem:
        monkeypatch.setattr("fcntl.flock", flock)
    else:
        monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows
    with pytest.warns(UserWarning, match="lock"), kept_folder(tmp_path, "train.py"):
        (tmp_path / "done").touch()
    assert (tmp_path / "done").exists()


def test_a_lock_that_is_a_folder_is_told(tmp_path):
    (tmp_path / LOCK_NAME).mkdir()
    with refused(tmp_path / LOCK_NAME), kept_folder(tmp_path, "train.py"):
        pass


def test_json_too_deep_is_refused(tmp_path):
    (tmp_path / "a.json").write_text("[" * 100_000)
    with refused(tmp_path / "a.json"):
        read_model(tmp_path / "a.json", Pair, "correct it")
