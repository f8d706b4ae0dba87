"""An output must not replace an input, by whatever path it is named."""

import os

import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.inputs_kept import Inputs


def file_link(home, scan):
    (home / "links").mkdir()
    (home / "links" / "a.nii").symlink_to(scan)
    return home / "links" / "a.nii"


def link_to_link(home, scan):
    first = file_link(home, scan)
    (home / "more").mkdir()
    (home / "more" / "b.nii").symlink_to(f"../links/{first.name}")
    return home / "more" / "b.nii"


def folder_link(home, scan):
    (home / "folder").symlink_to(scan.parent)
    return home / "folder" / scan.name


def hard_link(home, scan):
    (home / "hard").mkdir()
    os.link(scan, home / "hard" / "a.nii")
    return home / "hard" / "a.nii"


def up_and_down(home, scan):
    return scan.parent / ".." / scan.parent.name / scan.name


WAYS = [file_link, link_to_link, folder_link, hard_link, up_and_down, lambda home, scan: scan]


@pytest.fixture
def scan(tmp_path):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "a.nii").write_bytes(b"scan")
    return tmp_path / "scans" / "a.nii"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("swapped", [False, True])
def test_a_file_that_is_an_input_is_refused(tmp_path, scan, way, swapped):
    read, written = scan, way(tmp_path, scan)
    if swapped:  # the link is the input, and the file behind it the output
        read, written = written, read
    with pytest.raises(UserError):
        Inputs([read]).refuse_file("--json", written)
    Inputs([read]).refuse_file("--json", written.with_name("other"))
    if way is link_to_link:
        with pytest.raises(UserError):
            Inputs([tmp_path / "more" / "b.nii"]).refuse_file("--json", tmp_path / "links" / "a.nii")


@pytest.mark.parametrize("way", [file_link, link_to_link, folder_link, up_and_down])
def test_folders_of_an_input_and_of_all_that_it_links_to_are_refused(tmp_path, scan, way):
    named = way(tmp_path, scan)
    inputs = Inputs([named])
    for folder in {named.parent, scan.parent, tmp_path / "links"}:
        if folder.exists():
            with pytest.raises(UserError):
                inputs.refuse_folder("--output", folder, "holds the scans")
    for folder in (tmp_path, tmp_path / "none", scan.parent / "below"):
        inputs.refuse_folder("--output", folder, "holds the scans")


def test_the_folder_of_a_series_is_refused_and_so_is_the_one_it_lies_in(tmp_path):
    (tmp_path / "study" / "series").mkdir(parents=True)
    for folder in (tmp_path / "study" / "series", tmp_path / "study"):
        with pytest.raises(UserError):
            Inputs([tmp_path / "study" / "series"]).refuse_folder("--output", folder, "holds the scans")


def test_links_in_a_circle_and_dangling_ones_end(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").symlink_to("gone")
    inputs = Inputs([tmp_path / name for name in "abc"])
    with pytest.raises(UserError):
        inputs.refuse_file("--json", tmp_path / "c")
    inputs.refuse_file("--json", tmp_path / "d")
