import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.dataset import Case, list_cases
from data_preprocessing.dataset.scans import find_images
from data_preprocessing.images.formats.registry import result_suffix
from data_preprocessing.images.image_file import load_image, read_header
from tests.data_preprocessing.samples import refused, save


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


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
    listed.write_text(f"{files[1]}\r\n\n# of {tmp_path / 'gone'}\n  {tmp_path / 'in'}  \n")
    assert [case.images for case in find_images(listed, 1)] == [(files[0],), (files[1],)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "lists no image"),
        (b"# nothing\n\n", "lists no image"),
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


def test_a_folder_of_several_formats_gives_each_file_as_a_case(tmp_path):
    names = ["a.nii", "b.c.png", "d.TIF", "e.tiff", "f.jpg", "g.JPEG", "h.bmp", "i.nrrd", "j.v2.mha", "k.mgz", "l.mgh"]
    names += ["n.mhd", "p.nhdr", "q.NII", "r.NII.GZ", "s.Nii.gz"]
    touch(*(tmp_path / name for name in (*names, "._b.c.png", "Thumbs.db", "m.gif", "o.raw")))
    cases = find_images(tmp_path, 1)
    expected = ["a", "b.c", "d", "e", "f", "g", "h", "i", "j.v2", "k", "l", "n", "p", "q", "r", "s"]
    assert [case.name for case in cases] == expected
    assert [case.images for case in cases] == [(tmp_path / name,) for name in names]


@pytest.mark.parametrize("name", ["a.NII", "a.NII.GZ", "a.Nii.gz", "a.nii.GZ"])
def test_nifti_in_capitals_is_read(tmp_path, name):
    plain = save(tmp_path / ("b.nii.gz" if name.lower().endswith("gz") else "b.nii"), np.ones((3, 4, 5), np.int16))
    plain.rename(tmp_path / name)
    (case,) = find_images(tmp_path, 1)
    assert case.name == "a"
    assert read_header(case.images[0]).get_data_shape() == load_image(case.images[0]).shape == (3, 4, 5)
    assert result_suffix(case.images[0]) == ".nii.gz"


def test_a_list_may_begin_with_the_mark_of_its_encoding(tmp_path):
    touch(tmp_path / "a.nii.gz")
    (tmp_path / "scans.txt").write_text(str(tmp_path / "a.nii.gz"), encoding="utf-8-sig")
    assert [case.name for case in find_images(tmp_path / "scans.txt", 1)] == ["a"]


def test_one_name_in_two_formats_is_refused(tmp_path):
    touch(tmp_path / "a.png", tmp_path / "a.tif")
    with refused(tmp_path, "a is there twice"):
        find_images(tmp_path, 1)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".mha"])
def test_channel_files_of_other_formats_are_grouped(tmp_path, suffix):
    files = [tmp_path / f"a.1_000{number}{suffix}" for number in range(2)]
    touch(*files)
    assert find_images(tmp_path, 2) == [Case("a.1", tuple(files))]
    assert find_images(files[0], 2) == [Case("a.1", tuple(files))]


@pytest.mark.parametrize("how", ["folder", "files", "one by one"])
def test_numbered_scans_of_one_channel_are_scans_of_their_own(tmp_path, how):
    names = [f"scan_{number:04d}" for number in range(6)]
    files = [tmp_path / f"{name}.nii.gz" for name in names]
    touch(*files)
    if how == "one by one":
        assert [find_images(file, 1) for file in files] == [[Case(file.name[:-7], (file,))] for file in files]
    else:
        cases = find_images(tmp_path if how == "folder" else files, 1)
        assert cases == [Case(name, (file,)) for name, file in zip(names, files, strict=True)]


def test_numbered_scans_that_hold_all_channels_are_scans_of_their_own(tmp_path):
    files = [save(tmp_path / f"scan_{number:04d}.nii.gz", np.ones((2, 3, 4, 2), np.int16)) for number in range(5)]
    assert [case.images for case in find_images(tmp_path, 2)] == [(file,) for file in files]


def test_a_channel_file_too_many_is_refused(tmp_path):
    files = [tmp_path / f"p_{number:04d}.nii.gz" for number in range(3)]
    touch(*files)
    for source in (tmp_path, files[0], files[2]):
        with refused(files[2]):
            find_images(source, 2)


@pytest.mark.parametrize("number", [0, 1])
def test_any_channel_file_stands_for_its_case(tmp_path, number):
    files = [tmp_path / f"p_{number:04d}.nii.gz" for number in range(2)]
    touch(*files)
    assert find_images(files[number], 2) == [Case("p", tuple(files))]


def test_a_channel_that_is_there_twice_is_refused(tmp_path):
    touch(*(tmp_path / name for name in ("p_0000.nii.gz", "p_0001.nii", "p_0001.nii.gz")))
    with refused(tmp_path / "p_0001.nii"):
        find_images(tmp_path, 2)


@pytest.mark.parametrize("channels", [1, 2, 3])
@settings(max_examples=50, deadline=None)
@given(numbers=st.sets(st.integers(0, 12), min_size=1, max_size=8))
def test_no_file_is_left_out_without_a_word(tmp_path_factory, channels, numbers):
    folder = tmp_path_factory.mktemp("scans")
    files = [folder / f"p_{number:04d}.nii.gz" for number in sorted(numbers)]
    touch(*files)
    try:
        cases = find_images(folder, channels)
    except UserError:
        return
    assert sorted(file for case in cases for file in case.images) == files


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    touch(tmp_path / os.fsdecode(b"m\xfcller.nii.gz"))
    with pytest.raises(UserError):
        find_images(tmp_path, 1)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    "listed", [["p_0000", "q_0000"], ["p_0000", "p_0001", "p_0002"], ["p", "q"], ["x_0007", "x_0008"]]
)
def test_training_calls_cases_as_prediction_does(tmp_path, listed, channels):
    shape = (2, 3, 4, channels)[: 3 + (channels > 1)]
    for name in listed:
        save(tmp_path / "imagesTr" / f"{name}.nii.gz", np.ones(shape, np.int16))
        save(tmp_path / "labelsTr" / f"{name}.nii.gz", np.ones((2, 3, 4), np.uint8))
    entries = [{"image": f"imagesTr/{name}.nii.gz", "label": f"labelsTr/{name}.nii.gz"} for name in listed]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": entries}))
    trained = {case.name: case.images for case in list_cases(tmp_path / "dataset.json", channels)}
    assert trained == {case.name: case.images for case in find_images(tmp_path / "imagesTr", channels)}
    assert len(trained) == len(listed)
