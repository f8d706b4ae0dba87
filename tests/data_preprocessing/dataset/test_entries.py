"""The usual mistakes in a dataset.json are answered with what to write, in the user's own names."""

import json
from pathlib import Path

import numpy as np
import pytest

from data_preprocessing.dataset.dataset import load_dataset
from data_preprocessing.dataset.verify import check_dataset
from data_preprocessing.jobs.backend import Processes
from tests.data_preprocessing.samples import refused, save, write_tiny_dataset

LABEL = np.zeros((8, 8, 8), np.uint8)
LABEL[2:5, 2:5, 2:5] = 1


@pytest.fixture
def folder(tmp_path) -> Path:
    write_tiny_dataset(tmp_path / "Task91_Tiny", {"liver_1": LABEL, "liver_2": LABEL})
    return tmp_path / "Task91_Tiny"


def change(folder: Path, **changes) -> None:
    """Changes keys of dataset.json; None leaves one out."""
    path = folder / "dataset.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


@pytest.mark.parametrize(
    ("changes", "written"),
    [
        ({"modality": None}, '"modality": {"0": "CT"}'),
        ({"modality": "MRI"}, '"modality": {"0": "MRI"}'),
        ({"modality": ["MRI"]}, '"modality": {"0": "MRI"}'),
        ({"labels": ["liver", "tumor"]}, '"labels": {"0": "background", "1": "liver", "2": "tumor"}'),
        ({"labels": {"1": "liver"}}, '"0": "background"'),
        ({"training": None}, '"training": '),
        (
            {"training": ["imagesTr/liver_1.nii.gz"]},
            '{"image": "imagesTr/liver_1.nii.gz", "label": "labelsTr/liver_1.nii.gz"}',
        ),
        ({"training": [["a.nii.gz", "b.nii.gz"]]}, '{"image": "a.nii.gz", "label": "b.nii.gz"}'),
        (
            {"training": [{"image": "a.nii.gz", "segmentation": "b.nii.gz"}]},
            '{"image": "a.nii.gz", "label": "b.nii.gz"}',
        ),
        ({"training": [{"scan": "a.nii.gz", "label": "b.nii.gz"}]}, '{"image": "a.nii.gz", "label": "b.nii.gz"}'),
        (
            {"training": [{"image": "imagesTr/liver_2.nii.gz"}]},
            '{"image": "imagesTr/liver_2.nii.gz", "label": "labelsTr/liver_2.nii.gz"}',
        ),
        ({"training": None, "channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1}}, '"file_ending"'),
        ({"training": [{"image": "", "label": "b.nii.gz"}]}, "entry 1"),
        ({"training": [7]}, '{"image": '),
    ],
)
def test_the_remedy_is_the_line_to_write(folder, changes, written):
    change(folder, **changes)
    with refused(folder / "dataset.json") as _:
        try:
            load_dataset(folder.parent, folder.name)
        except Exception as error:
            assert written in str(error)
            raise


def test_a_missing_file_is_answered_with_the_command_that_makes_it(folder):
    (folder / "dataset.json").unlink()
    with refused(folder / "dataset.json", f"nnunet-tf dataset --images {folder}/imagesTr --labels {folder}/labelsTr"):
        load_dataset(folder.parent, folder.name)


def test_a_folder_per_patient_is_told_from_a_series(folder):
    save(folder / "P1" / "ct.nii.gz", LABEL)
    save(folder / "P1" / "seg.nii.gz", LABEL)
    change(folder, training=[{"image": "P1", "label": "P1/seg.nii.gz"}])
    findings = check_dataset(folder.name, None, folder.parent, Processes(), folds=1)
    problem = next(finding for finding in findings if finding.level == "error" and finding.file.endswith("P1"))
    assert "ct.nii.gz" in problem.problem


def test_names_and_lists_of_channel_files_are_read_as_they_stand(folder):
    for name in ("P1", "P2"):
        for channel in ("t1", "t2_0000"):
            save(folder / name / f"{channel}.nii.gz", LABEL)
    entries = [
        {"name": name, "image": [f"{name}/t2_0000.nii.gz", f"{name}/t1.nii.gz"], "label": "labelsTr/liver_1.nii.gz"}
        for name in ("P2", "P1")
    ]
    change(folder, training=entries, modality={"0": "T2", "1": "T1"})
    cases = load_dataset(folder.parent, folder.name).training
    assert [case.name for case in cases] == ["P1", "P2"]
    assert [path.name for path in cases[0].images] == ["t2_0000.nii.gz", "t1.nii.gz"]


def test_a_single_channel_file_with_a_name_takes_no_other_along(folder):
    for number in range(2):
        save(folder / "more" / f"p_{number:04d}.nii.gz", LABEL)
    change(
        folder,
        modality={"0": "T1", "1": "T2"},
        training=[{"name": "p", "image": "more/p_0000.nii.gz", "label": "labelsTr/liver_1.nii.gz"}],
    )
    assert [path.name for path in load_dataset(folder.parent, folder.name).training[0].images] == ["p_0000.nii.gz"]
