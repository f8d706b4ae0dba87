import json
from pathlib import Path

import pytest

from data_preprocessing.dataset.dataset import Case, load_dataset, read_labels
from tests.data_preprocessing.samples import refused

MSD = {
    "modality": {"0": "T2", "1": "ADC"},
    "labels": {"0": "background", "1": "PZ", "2": "TZ"},
    "training": [
        {"image": "./imagesTr/b.nii.gz", "label": "./labelsTr/b.nii.gz"},
        {"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"},
    ],
}
NNUNET = MSD | {
    "channel_names": {"0": "T2", "1": "ADC"},
    "labels": {"background": 0, "PZ": 1, "TZ": 2},
    "file_ending": ".nii.gz",
}
del NNUNET["modality"]


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set of two cases; the files are empty, for loading a data set opens none of them."""
    folder = tmp_path / "Task91_Tiny"
    for case in "ab":
        touch(folder / "imagesTr" / f"{case}.nii.gz", folder / "labelsTr" / f"{case}.nii.gz")
    write(folder, MSD)
    return folder


def write(folder: Path, content: object) -> None:
    (folder / "dataset.json").write_text(json.dumps(content))


def load(folder: Path):
    return load_dataset(folder.parent, folder.name)


@pytest.mark.parametrize("content", [MSD, NNUNET], ids=["msd", "nnunet"])
def test_channels_and_labels_are_read_in_both_styles(folder, content):
    write(folder, content)
    dataset = load(folder)
    assert dataset.channels == ("T2", "ADC")
    assert dataset.labels == {0: "background", 1: "PZ", 2: "TZ"}


def test_cases_are_sorted_by_name_with_their_files(folder):
    images, labels = folder / "imagesTr", folder / "labelsTr"
    assert load(folder).training == (
        Case("a", (images / "a.nii.gz",), labels / "a.nii.gz"),
        Case("b", (images / "b.nii.gz",), labels / "b.nii.gz"),
    )


@pytest.mark.parametrize(
    "labels",
    [
        {"4": "c", "0": "background", "10": "d", "1": "a"},
        {"c": 4, "background": 0, "d": 10, "a": 1},
        {"c": "4", "background": "0", "d": "10", "a": "1"},
    ],
)
def test_labels_are_in_rising_order_of_their_numbers_gaps_kept(folder, labels):
    write(folder, MSD | {"labels": labels})
    assert list(read_labels(folder / "dataset.json").items()) == [(0, "background"), (1, "a"), (4, "c"), (10, "d")]


def test_channels_are_in_order_of_their_numbers(folder):
    names = {str(number): f"channel {number}" for number in (10, 2, 0, 1)}
    write(folder, MSD | {"modality": names})
    assert load(folder).channels == ("channel 0", "channel 1", "channel 2", "channel 10")


def test_entries_of_macos_resource_files_are_passed_over(folder):
    extra = {"image": "./imagesTr/._a.nii.gz", "label": "./labelsTr/._a.nii.gz"}
    write(folder, MSD | {"training": [extra, *MSD["training"]]})
    assert [case.name for case in load(folder).training] == ["a", "b"]


def test_one_file_a_channel_makes_one_case(folder):
    (folder / "imagesTr" / "a.nii.gz").unlink()
    files = tuple(folder / "imagesTr" / f"a_000{number}.nii.gz" for number in (0, 1))
    touch(*files)
    assert load(folder).training[0] == Case("a", files, folder / "labelsTr" / "a.nii.gz")


def test_one_uncompressed_file_a_channel_makes_one_case(folder):
    files = tuple(folder / "imagesTr" / f"c_000{number}.nii" for number in (0, 1))
    touch(*files, folder / "labelsTr" / "c.nii")
    write(folder, MSD | {"training": [{"image": "imagesTr/c.nii", "label": "labelsTr/c.nii"}]})
    assert load(folder).training[0].images == files


def test_the_channel_files_of_a_longer_name_are_not_mixed_in(folder):
    (folder / "imagesTr" / "a.nii.gz").unlink()
    touch(*(folder / "imagesTr" / name for name in ("a_0000.nii.gz", "a_b_0000.nii.gz", "a_00001.nii.gz")))
    assert load(folder).training[0].images == (folder / "imagesTr" / "a_0000.nii.gz",)


def test_a_missing_folder_is_refused(tmp_path):
    with refused(tmp_path / "Task99_None", "no such folder.*--data"):
        load_dataset(tmp_path, "Task99_None")


def test_a_dataset_json_may_begin_with_the_mark_of_its_encoding(folder):
    (folder / "dataset.json").write_text(json.dumps(MSD), encoding="utf-8-sig")
    assert [case.name for case in load_dataset(folder.parent, folder.name).training] == ["a", "b"]


def test_a_missing_dataset_json_is_refused(folder):
    (folder / "dataset.json").unlink()
    with refused(folder / "dataset.json", "no such file"):
        load(folder)


@pytest.mark.parametrize("part", ["imagesTr", "labelsTr"])
def test_a_missing_file_is_refused(folder, part):
    (folder / part / "b.nii.gz").unlink()
    with refused(folder / part / "b.nii.gz", "listed in dataset.json"):
        load(folder)


def test_a_case_listed_twice_is_used_once(folder):
    once = load(folder).training
    write(folder, MSD | {"training": [*MSD["training"], MSD["training"][0]]})
    assert load(folder).training == once


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"not json\nat all", b'{"a": 1,}'])
def test_a_dataset_json_that_is_no_json_is_refused(folder, content):
    (folder / "dataset.json").write_bytes(content)
    with refused(folder / "dataset.json", "not valid JSON"):
        load(folder)


@pytest.mark.parametrize("content", [[], "words", 3, None])
def test_a_dataset_json_that_is_no_object_is_refused(folder, content):
    write(folder, content)
    with refused(folder / "dataset.json", "not an object"):
        load(folder)


@pytest.mark.parametrize(
    ("part", "value", "match"),
    [
        ("modality", ["T2", "ADC"], "modality"),
        ("modality", {"first": "T2"}, "modality"),
        ("modality", None, "modality"),
        ("labels", ["background", "PZ"], "labels"),
        ("labels", {"background": 0, "PZ": [1, 2]}, "labels"),
        ("labels", {"background": 0, "PZ": "one"}, "labels"),
        ("labels", {"1": "PZ", "2": "TZ"}, "background"),
        ("labels", {"nothing": -1, "background": 0}, "background"),
        ("labels", {}, "background"),
        ("training", {"a": "b"}, "training"),
        ("training", "imagesTr", "training"),
        ("training", None, "training"),
        ("training", [{"image": "./imagesTr/a.nii.gz"}], "training"),
        ("training", ["./imagesTr/a.nii.gz"], "training"),
        ("training", [{"image": 1, "label": 2}], "training"),
        ("training", [], "training"),
    ],
)
def test_a_malformed_part_is_named(folder, part, value, match):
    write(folder, MSD | {part: value})
    with refused(folder / "dataset.json", match):
        load(folder)


@pytest.mark.parametrize("part", ["modality", "labels", "training"])
def test_a_missing_part_is_named(folder, part):
    write(folder, {key: value for key, value in MSD.items() if key != part})
    with refused(folder / "dataset.json", part):
        load(folder)


def test_two_classes_of_one_number_are_refused(folder):
    write(folder, MSD | {"labels": {"background": 0, "PZ": 1, "TZ": 1}})
    with refused(folder / "dataset.json", "labels"):
        load(folder)


def test_two_classes_of_one_name_are_refused(folder):
    write(folder, MSD | {"labels": {"0": "background", "1": "organ", "2": "organ"}})
    with refused(folder / "dataset.json", "organ"):
        load(folder)


@pytest.mark.parametrize("part", ["labels", "modality", "training"])
def test_names_that_are_no_valid_unicode_are_refused(folder, part):
    half = "\ud83d"
    parts = {
        "labels": {"0": "background", "1": half},
        "modality": {"0": half},
        "training": [{"image": half, "label": half}],
    }
    write(folder, MSD | {part: parts[part]})
    with refused(folder / "dataset.json"):
        load(folder)


@pytest.mark.parametrize("name", [".nii.gz", "..nii.gz", "...nii.gz"])
def test_a_case_without_a_name_is_refused(folder, name):
    touch(folder / "imagesTr" / name)
    write(folder, MSD | {"training": [{"image": f"imagesTr/{name}", "label": "labelsTr/a.nii.gz"}]})
    with refused(folder / "dataset.json"):
        load(folder)


def test_an_image_of_no_known_format_is_refused(folder):
    touch(folder / "imagesTr" / "a.gif")
    write(folder, MSD | {"training": [{"image": "imagesTr/a.gif", "label": "labelsTr/a.nii.gz"}]})
    with refused(folder / "imagesTr" / "a.gif", "not an image of a known kind"):
        load(folder)
