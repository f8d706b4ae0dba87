import json
from pathlib import Path

import pytest

from data_preprocessing.dataset import Case, load_dataset, read_labels
from data_preprocessing.scans import find_images

from .samples import refused

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
    with refused(folder / "dataset.json", "channel_names" if part == "modality" else part):
        load(folder)


def test_two_classes_of_one_number_are_refused(folder):
    write(folder, MSD | {"labels": {"background": 0, "PZ": 1, "TZ": 1}})
    with refused(folder / "dataset.json", "labels"):
        load(folder)


def test_an_image_of_no_known_format_is_refused(folder):
    touch(folder / "imagesTr" / "a.gif")
    write(folder, MSD | {"training": [{"image": "imagesTr/a.gif", "label": "labelsTr/a.nii.gz"}]})
    with refused(folder / "imagesTr" / "a.gif", "not an image of a known kind"):
        load(folder)


def test_a_single_image_is_one_case(tmp_path):
    touch(tmp_path / "scan.nii")
    assert find_images(tmp_path / "scan.nii", 1) == [Case("scan", (tmp_path / "scan.nii",))]


def test_a_folder_of_images_gives_each_as_a_case_and_passes_over_the_rest(tmp_path):
    names = ("b.nii.gz", "a.nii", "._a.nii", ".hidden.nii.gz", "notes.txt", "c.nii.gz.part")
    touch(*(tmp_path / name for name in names))
    assert find_images(tmp_path, 1) == [
        Case("a", (tmp_path / "a.nii",)),
        Case("b", (tmp_path / "b.nii.gz",)),
    ]


def test_channel_files_of_a_folder_are_grouped_in_channel_order(tmp_path):
    files = {name: [tmp_path / f"{name}_{number:04d}.nii.gz" for number in range(3)] for name in ("p", "q")}
    touch(*reversed(files["p"]), *files["q"])
    assert find_images(tmp_path, 3) == [Case("p", tuple(files["p"])), Case("q", tuple(files["q"]))]


def test_a_single_channel_file_loses_its_suffix(tmp_path):
    touch(tmp_path / "p_0000.nii.gz")
    assert find_images(tmp_path, 1) == [Case("p", (tmp_path / "p_0000.nii.gz",))]


def test_a_missing_channel_file_leaves_the_case_short(tmp_path):
    touch(tmp_path / "p_0000.nii.gz", tmp_path / "p_0002.nii.gz")
    (case,) = find_images(tmp_path, 3)
    assert len(case.images) < 3


def test_a_name_that_ends_in_four_digits_is_no_channel(tmp_path):
    touch(tmp_path / "scan_2019.nii.gz", tmp_path / "scan_2020.nii.gz")
    assert [case.name for case in find_images(tmp_path, 1)] == ["scan_2019", "scan_2020"]


@pytest.mark.parametrize(
    "files", [["p_1_0000", "p_10_0000", "p_1_0001", "p_10_0001"], ["a_0000", "a-b_0000"], ["a", "a-b", "a b"]]
)
def test_cases_of_a_folder_are_sorted_by_name(tmp_path, files):
    touch(*(tmp_path / f"{name}.nii.gz" for name in files))
    names = [case.name for case in find_images(tmp_path, 2)]
    assert names == sorted(names)


@pytest.mark.parametrize("files", [("a.nii", "a.nii.gz"), ("a.nii.gz", "a_0000.nii.gz")])
def test_two_images_of_one_name_are_refused(tmp_path, files):
    touch(*(tmp_path / name for name in files))
    with refused(tmp_path):
        find_images(tmp_path, 1)


def test_the_first_of_its_channel_files_stands_for_a_case(tmp_path):
    files = [tmp_path / f"p_{index:04d}.nii.gz" for index in range(2)]
    touch(*files)
    for source in (files[0], files):
        assert find_images(source, 2) == [Case("p", tuple(files))]


def test_several_files_and_folders_are_joined_each_file_once(tmp_path):
    files = [tmp_path / "in" / "b.nii", tmp_path / "in" / "c.nii.gz", tmp_path / "a.nii"]
    (tmp_path / "in").mkdir()
    touch(*files)
    cases = find_images([tmp_path / "in", files[2], files[0]], 1)
    assert [(case.name, case.images) for case in cases] == [("a", (files[2],)), ("b", (files[0],)), ("c", (files[1],))]


def test_a_list_names_files_and_folders_a_line_each(tmp_path):
    (tmp_path / "in").mkdir()
    files = [tmp_path / "in" / "b.nii", tmp_path / "with space.nii"]
    touch(*files)
    listed = tmp_path / "scans.txt"
    listed.write_text(f"{files[1]}\r\n\n  {tmp_path / 'in'}  \n")
    assert [case.images for case in find_images(listed, 1)] == [(files[0],), (files[1],)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "lists no image"),
        (b"gone.nii\n", "gone.nii: no such file or folder; correct it in"),
        (b"scans.txt\n", "scans.txt: no such file or folder"),
        (b"\xff\xfe\n", "cannot be read"),
    ],
)
def test_a_list_that_lists_nothing_of_use_is_refused(tmp_path, content, words):
    listed = tmp_path / "scans.txt"
    listed.write_bytes(content)
    with refused("", words):
        find_images(listed, 1)


def test_two_files_of_one_name_in_different_folders_are_refused(tmp_path):
    files = [tmp_path / "one" / "scan.nii", tmp_path / "two" / "scan.nii"]
    for file in files:
        file.parent.mkdir()
    touch(*files)
    with refused("", "scan is there twice"):
        find_images(files, 1)


def test_a_folder_without_images_is_refused(tmp_path):
    touch(tmp_path / "notes.txt")
    with refused(tmp_path, "holds no image"):
        find_images(tmp_path, 1)


def test_a_missing_source_is_refused(tmp_path):
    with refused(tmp_path / "none", "no such file or folder"):
        find_images(tmp_path / "none", 1)


def test_a_single_file_of_another_kind_is_refused(tmp_path):
    touch(tmp_path / "scan.gif")
    with refused(tmp_path / "scan.gif", "not an image of a known kind"):
        find_images(tmp_path / "scan.gif", 1)
