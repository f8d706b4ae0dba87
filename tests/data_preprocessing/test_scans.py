from pathlib import Path

import pytest

from data_preprocessing.dataset import Case
from data_preprocessing.scans import find_images

from .samples import refused


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
    names += ["n.mhd", "p.nhdr"]
    touch(*(tmp_path / name for name in (*names, "._b.c.png", "Thumbs.db", "m.gif", "n.raw", "o.NII")))
    cases = find_images(tmp_path, 1)
    assert [case.name for case in cases] == ["a", "b.c", "d", "e", "f", "g", "h", "i", "j.v2", "k", "l", "n", "p"]
    assert [case.images for case in cases] == [(tmp_path / name,) for name in names]


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
