"""Scans that a dataset.json lists without a label."""

import json

import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.listed_scans import list_test_cases
from tests.data_preprocessing.samples import LPS, save


@pytest.fixture
def folder(tmp_path):
    for name in ("a.nii.gz", "P1/t1.nii.gz", "P1/t2.nii.gz", "b_0000.nii.gz", "b_0001.nii.gz"):
        save(tmp_path / "images" / name, np.zeros((4, 5, 6), np.int16), LPS.affine())
    return tmp_path


def write(folder, test):
    path = folder / "dataset.json"
    path.write_text(json.dumps({"test": test}))
    return path


def found(folder, test):
    return {
        case.name: [path.name for path in case.images]
        for case in list_test_cases(write(folder, test))
        if not case.label
    }


def test_a_path_a_list_of_channels_and_what_channel_files_share(folder):
    entries = ["images/a.nii.gz", {"name": "P1", "image": ["images/P1/t1.nii.gz", "images/P1/t2.nii.gz"]}]
    assert found(folder, entries) == {"P1": ["t1.nii.gz", "t2.nii.gz"], "a": ["a.nii.gz"]}
    assert found(folder, ["images/b.nii.gz"]) == {"b": ["b_0000.nii.gz", "b_0001.nii.gz"]}
    assert found(folder, [["images/b_0000.nii.gz", "images/b_0001.nii.gz"]]) == {
        "b": ["b_0000.nii.gz", "b_0001.nii.gz"]
    }
    assert found(folder, []) == {}


@pytest.mark.parametrize("test", [[None], [{"image": []}], [{"image": "images/a.nii.gz", "name": 3}], [["", "x"]]])
def test_what_is_no_image_is_told_with_its_place(folder, test):
    with pytest.raises(UserError, match="test entry 1"):
        list_test_cases(write(folder, test))


def test_a_file_that_is_not_there_and_a_name_twice_are_told(folder):
    with pytest.raises(UserError, match=r"c\.nii\.gz"):
        list_test_cases(write(folder, ["images/c.nii.gz"]))
    with pytest.raises(UserError, match="a"):
        list_test_cases(write(folder, ["images/a.nii.gz", {"name": "a", "image": "images/b_0000.nii.gz"}]))
