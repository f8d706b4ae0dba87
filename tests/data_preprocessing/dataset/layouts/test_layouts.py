"""Every layout, made a data set of, must be read as the arrays that its script wrote."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from data_preprocessing.dataset.dataset import load_dataset
from data_preprocessing.dataset.layouts.find import Request, find_cases
from data_preprocessing.dataset.layouts.make import Choices, Made, make_dataset
from data_preprocessing.dataset.training_case import read_training_case
from data_preprocessing.jobs.backend import Processes
from tests.data import layouts

T1_FLAIR = (("T1", "*_t1.nii.gz"), ("FLAIR", "*_flair.nii.gz"))


def request_of(name: str, root: Path) -> Request:
    """What a user types for the layout."""
    return {
        "paired": Request(images=root / "scans", labels=root / "masks"),
        "patients": Request(root, image="ct.nii.gz", label="seg.nii.gz"),
        "flat channels": Request(root, channels=T1_FLAIR, label="*_seg.nii.gz"),
        "channels": Request(root, channels=T1_FLAIR, label="*_seg.nii.gz"),
        "masks": Request(root, image="ct.nii.gz", masks="segmentations"),
        "nnunet": Request(root),
        "monai": Request(root),
        "table": Request(table=root / "cases.csv"),
        "dicom": Request(root),
    }[name]


CHANNELS = {
    "flat channels": ("T1", "FLAIR"),
    "channels": ("T1", "FLAIR"),
    "nnunet": ("T2", "ADC"),
    "table": ("T1", "T2"),
}


def make(root: Path, folder: Path, request: Request, **choices) -> Made:
    return make_dataset(find_cases(request), folder, Choices(**choices), Processes())


def check_reading(folder: Path, oracle: layouts.Oracle, classes: dict[str, int] | None = None) -> None:
    """Preprocessing reads the arrays of the oracle, `(z, y, x)`, class by class."""
    dataset = load_dataset(folder.parent, folder.name)
    assert {case.name for case in dataset.training} == set(oracle)
    names = list(dataset.labels.values())
    for case in dataset.training:
        volume, label = read_training_case(case, dataset)
        expected = oracle[case.name]
        np.testing.assert_array_equal(volume.array, expected.image.transpose(2, 1, 0, 3))
        np.testing.assert_allclose(volume.spacing, layouts.SPACING[::-1], rtol=1e-6)
        for name, number in (classes or {name: index for index, name in enumerate(names)}).items():
            np.testing.assert_array_equal(label == names.index(name), (expected.label == number).transpose(2, 1, 0))


def content_of(root: Path) -> dict[str, str]:
    """Every file with its checksum."""
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", layouts.LAYOUTS)
def test_each_layout_is_read_as_it_was_written(tmp_path, name):
    root, folder = tmp_path / "mine", tmp_path / "data" / "Task100_Mine"
    oracle = layouts.LAYOUTS[name](root)
    before = content_of(root)
    made = make(root, folder, request_of(name, root))
    assert made.channels == CHANNELS.get(name, ("CT",))
    check_reading(folder, oracle)
    assert content_of(root) == before
    counts = {number: sum(int((each.label == number).sum()) for each in oracle.values()) for number in range(4)}
    found = {number: sum(facts.voxels.get(number, 0) for facts in made.facts.values()) for number in range(4)}
    if name != "dicom":  # whose classes are numbered by the first segments
        assert found == counts
    written = {path.name for path in folder.iterdir()}
    assert written <= {"dataset.json", "splits.json", "labelsTr"}
    assert ("labelsTr" in written) == (name in ("masks", "dicom"))


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_segments_of_each_kind_come_out_under_their_names(tmp_path, kind):
    root, folder = tmp_path / "mine", tmp_path / "Task100_Mine"
    oracle = layouts.dicom_tree(root, kind=kind)
    made = make(root, folder, request_of("dicom", root))
    assert set(made.labels) == {"background", *layouts.ORGANS}
    check_reading(folder, oracle, {organ: number for number, organ in enumerate(layouts.ORGANS, start=1)})


@pytest.mark.parametrize("transfer", ["copy", "link"])
@pytest.mark.parametrize("name", ["paired", "channels", "dicom"])
def test_files_are_brought_along_where_that_is_asked_for(tmp_path, name, transfer):
    root, folder = tmp_path / "mine", tmp_path / "Task100_Mine"
    oracle = layouts.LAYOUTS[name](root)
    before = content_of(root)
    make(root, folder, request_of(name, root), transfer=transfer)
    content = json.loads((folder / "dataset.json").read_text())
    listed = [path for entry in content["training"] for path in np.atleast_1d(entry["image"])]
    assert all(not Path(path).is_absolute() for path in listed)
    check_reading(folder, oracle)
    assert content_of(root) == before
    files = [path for path in folder.rglob("*") if path.is_file() and "images" in str(path)]
    assert files
    assert all(path.is_symlink() == (transfer == "link") for path in files)


def test_relative_paths_survive_a_move(tmp_path):
    oracle = layouts.paired_names(tmp_path / "a" / "mine")
    folder = tmp_path / "a" / "data" / "Task100_Mine"
    make(tmp_path, folder, request_of("paired", tmp_path / "a" / "mine"), relative=True)
    (tmp_path / "a").rename(tmp_path / "b")
    check_reading(tmp_path / "b" / "data" / "Task100_Mine", oracle)


def test_overlapping_masks_are_told(tmp_path):
    layouts.structure_masks(tmp_path / "mine", cases=3)
    made = make(tmp_path, tmp_path / "Task100_Mine", request_of("masks", tmp_path / "mine"))
    assert [facts.overlaps for facts in made.facts.values()] == [{("liver", "spleen"): 5}] * 3
    assert any("15 voxels" in line for line in made.warnings)


def test_names_choose_and_number_structures(tmp_path):
    oracle = layouts.structure_masks(tmp_path / "mine", cases=2)
    folder = tmp_path / "Task100_Mine"
    made = make(tmp_path, folder, request_of("masks", tmp_path / "mine"), names={1: "spleen", 2: "kidney"})
    assert made.labels == {"background": 0, "spleen": 1, "kidney": 2}
    check_reading(folder, oracle, {"spleen": 3, "kidney": 1})


def test_a_table_states_patients_and_validation(tmp_path):
    layouts.table(tmp_path / "mine")
    folder = tmp_path / "Task100_Mine"
    made = make(tmp_path, folder, request_of("table", tmp_path / "mine"))
    content = json.loads((folder / "dataset.json").read_text())
    assert content["groups"] == {f"scan{index}": f"patient{index // 2}" for index in range(6)}
    assert json.loads(made.splits.read_text()) == [
        {"train": [f"scan{index}" for index in range(4)], "val": ["scan4", "scan5"]}
    ]


def test_equal_images_and_divided_patients_are_told(tmp_path):
    root = tmp_path / "mine"
    layouts.table(root)
    (root / "files" / "scan1a.nii").write_bytes((root / "files" / "scan5a.nii").read_bytes())
    text = (root / "cases.csv").read_text(encoding="utf-8")
    (root / "cases.csv").write_text(text.replace("patient1;train", "patient2;train"), encoding="utf-8")
    made = make(tmp_path, tmp_path / "Task100_Mine", request_of("table", root))
    assert any("scan1 and scan5" in line for line in made.warnings)
    assert any("patient2" in line for line in made.warnings)


def test_segmentations_in_a_tree_of_their_own_find_their_series(tmp_path):
    root, folder = tmp_path / "mine", tmp_path / "Task100_Mine"
    oracle = layouts.dicom_tree(root)
    for index in range(1, 4):  # all called seg.dcm, in folders that say nothing
        place = tmp_path / "labels" / "cab"[index - 1]
        place.mkdir(parents=True)
        (root / f"P{index}" / "ST1" / "SEG" / "seg.dcm").rename(place / "seg.dcm")
        (root / f"P{index}" / "ST1" / "SEG").rmdir()
    make(root, folder, Request(images=root, labels=tmp_path / "labels"))
    check_reading(folder, oracle, {organ: number for number, organ in enumerate(layouts.ORGANS, start=1)})


def test_segmentations_of_nifti_images_are_paired_by_name(tmp_path):
    root, folder = tmp_path / "mine", tmp_path / "Task100_Mine"
    oracle = layouts.paired_names(root, cases=3)
    shutil.rmtree(root / "masks")
    place = [-spacing * (length - 1) for spacing, length in zip(layouts.SPACING[:2], layouts.SHAPE[:2], strict=True)]
    for name, each in oracle.items():
        masks = {organ: each.label == number for number, organ in enumerate(layouts.ORGANS, start=1)}
        path = root / "masks" / f"{name}_seg.dcm"
        layouts.write_segmentation(path, masks, "BINARY", "1.2.3.1", "1.2.3.9", "1.2.3", *place)
    make(root, folder, request_of("paired", root))
    check_reading(folder, oracle)
