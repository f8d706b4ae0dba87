import json

import numpy as np
import pytest

from data_preprocessing.dataset.dataset import Case
from data_preprocessing.dataset.nnunet_raw import load_nnunet_raw
from data_preprocessing.planning.fingerprint import collect
from tests.data_preprocessing.samples import refused, save

DESCRIPTION = {
    "channel_names": {"0": "T2", "1": "ADC"},
    "labels": {"background": 0, "TZ": 2, "PZ": 1},
    "numTraining": 2,
    "file_ending": ".nii.gz",
    "overwrite_image_reader_writer": "SimpleITKIO",
}


def write_raw(folder, cases=("prostate_10", "prostate_02"), channels=2, ending=".nii.gz", **changes):
    """Writes a raw folder of nnU-Net v2; a change to None leaves that field of dataset.json out."""
    random = np.random.default_rng(0)
    for name in cases:
        for channel in range(channels):
            voxels = random.integers(1, 99, (4, 5, 6), np.int16)
            save(folder / "imagesTr" / f"{name}_{channel:04d}{ending}", voxels, np.eye(4))
        save(folder / "labelsTr" / f"{name}{ending}", random.integers(0, 3, (4, 5, 6), np.uint8), np.eye(4))
    content = {key: value for key, value in (DESCRIPTION | changes).items() if value is not None}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
def test_channels_labels_and_files_are_found_as_nnunet_names_them(tmp_path, ending):
    dataset = load_nnunet_raw(write_raw(tmp_path, ending=ending, file_ending=ending))
    images, labels = tmp_path / "imagesTr", tmp_path / "labelsTr"
    assert dataset.folder == tmp_path
    assert dataset.channels == ("T2", "ADC")
    assert list(dataset.labels.items()) == [(0, "background"), (1, "PZ"), (2, "TZ")]
    assert dataset.training == tuple(
        Case(name, tuple(images / f"{name}_000{n}{ending}" for n in (0, 1)), labels / f"{name}{ending}")
        for name in ("prostate_02", "prostate_10")
    )


def test_the_cases_can_be_read(tmp_path):
    fingerprint = collect(load_nnunet_raw(write_raw(tmp_path)))
    assert [case.shape for case in fingerprint.cases] == [(6, 5, 4)] * 2
    assert len(fingerprint.intensities) == 2


def test_channels_follow_their_numbers_and_not_their_order_in_the_file(tmp_path):
    dataset = load_nnunet_raw(write_raw(tmp_path, channel_names={"1": "ADC", "0": "T2"}))
    assert dataset.channels == ("T2", "ADC")


def test_ten_channels_and_more_are_in_the_order_of_their_numbers(tmp_path):
    names = {str(number): f"channel {number}" for number in range(11)}
    dataset = load_nnunet_raw(write_raw(tmp_path, cases=("a",), channels=11, channel_names=names))
    assert dataset.channels == tuple(names.values())
    assert [path.name for path in dataset.training[0].images[-2:]] == ["a_0009.nii.gz", "a_0010.nii.gz"]


def test_a_case_name_may_end_in_digits(tmp_path):
    dataset = load_nnunet_raw(write_raw(tmp_path, cases=("case_0001", "case_0002")))
    assert [case.name for case in dataset.training] == ["case_0001", "case_0002"]


def test_hidden_files_and_other_endings_are_passed_over(tmp_path):
    write_raw(tmp_path)
    for name in ("._prostate_02_0000.nii.gz", "notes.txt", "prostate_02_0000.json"):
        (tmp_path / "imagesTr" / name).write_text("x")
    assert len(load_nnunet_raw(tmp_path).training) == 2


@pytest.mark.parametrize("count", [1, 99, None])
def test_a_wrong_number_of_cases_is_no_error(tmp_path, count):
    assert len(load_nnunet_raw(write_raw(tmp_path, numTraining=count)).training) == 2


def test_a_missing_folder_is_refused(tmp_path):
    with refused(tmp_path / "none", "no such folder"):
        load_nnunet_raw(tmp_path / "none")


def test_a_folder_without_dataset_json_is_refused(tmp_path):
    with refused(tmp_path / "dataset.json", "no such file"):
        load_nnunet_raw(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '"text"', "null"])
def test_a_dataset_json_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "dataset.json").write_text(content)
    with refused(tmp_path / "dataset.json"):
        load_nnunet_raw(tmp_path)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"channel_names": None}, "channel_names"),
        ({"channel_names": {}}, "channel_names"),
        ({"channel_names": ["T2"]}, "channel_names"),
        ({"channel_names": {"0": "T2", "2": "ADC"}}, "channel_names must be numbered 0, 1, 2"),
        ({"channel_names": {"T2": "0"}}, "channel_names must be numbered 0, 1, 2"),
        ({"labels": None}, "labels"),
        ({"labels": {"background": 0, "whole": [1, 2], "core": 2}}, "regions_class_order must have 2 numbers"),
        ({"labels": {"background": 0, "whole": [1, 2], "ignore": 3}}, "ignore is not supported"),
        ({"labels": {"background": 0, "PZ": "one"}}, "labels.PZ"),
        ({"labels": {"PZ": 1}}, "background, number 0"),
        ({"labels": {"background": 0, "PZ": 1, "ignore": 2}}, "ignore is not supported"),
        ({"file_ending": None}, "file_ending"),
        ({"file_ending": ".gif"}, "file_ending .gif: not read"),
        ({"dataset": {"a": {"images": [], "label": ""}}}, "under dataset is not supported"),
    ],
)
def test_a_description_that_cannot_be_used_is_refused_naming_the_field(tmp_path, changes, match):
    with refused(write_raw(tmp_path, **changes) / "dataset.json", match):
        load_nnunet_raw(tmp_path)


def test_a_missing_channel_is_refused_naming_its_file(tmp_path):
    path = write_raw(tmp_path) / "imagesTr" / "prostate_10_0001.nii.gz"
    path.unlink()
    with refused(path, "names 2 channels"):
        load_nnunet_raw(tmp_path)


def test_a_missing_first_channel_is_refused_naming_its_file(tmp_path):
    path = write_raw(tmp_path) / "imagesTr" / "prostate_02_0000.nii.gz"
    path.unlink()
    with refused(path, "no such file"):
        load_nnunet_raw(tmp_path)


def test_a_channel_without_a_name_is_refused(tmp_path):
    write_raw(tmp_path, channels=3)
    with refused(tmp_path / "imagesTr" / "prostate_02_0002.nii.gz", "does not name"):
        load_nnunet_raw(tmp_path)


def test_a_missing_label_is_refused_naming_its_file(tmp_path):
    path = write_raw(tmp_path) / "labelsTr" / "prostate_02.nii.gz"
    path.unlink()
    with refused(path, "no such file"):
        load_nnunet_raw(tmp_path)


@pytest.mark.parametrize("name", ["prostate.nii.gz", "prostate_1.nii.gz", "prostate_000a.nii.gz", "_0000.nii.gz"])
def test_an_image_without_the_number_of_its_channel_is_refused(tmp_path, name):
    path = write_raw(tmp_path) / "imagesTr" / name
    path.write_bytes(b"")
    with refused(path, "lacks the channel"):
        load_nnunet_raw(tmp_path)


def test_a_folder_without_images_is_refused(tmp_path):
    with refused(write_raw(tmp_path, cases=()) / "imagesTr", "no such folder"):
        load_nnunet_raw(tmp_path)
    (tmp_path / "imagesTr").mkdir()
    with refused(tmp_path / "imagesTr", "holds no file ending in .nii.gz"):
        load_nnunet_raw(tmp_path)


def test_one_colour_picture_stands_for_its_three_channels(tmp_path):
    for part, name in (("imagesTr", "road_0000.png"), ("labelsTr", "road.png")):
        (tmp_path / part).mkdir()
        (tmp_path / part / name).touch()
    content = {"channel_names": {"0": "R", "1": "G", "2": "B"}, "labels": {"background": 0}, "file_ending": ".png"}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    (case,) = load_nnunet_raw(tmp_path).training
    assert case == Case("road", (tmp_path / "imagesTr" / "road_0000.png",), tmp_path / "labelsTr" / "road.png")
