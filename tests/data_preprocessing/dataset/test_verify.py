import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from data_preprocessing.common.defaults import FOLDS
from data_preprocessing.common.task import load_task
from data_preprocessing.dataset.dataset import load_dataset
from data_preprocessing.dataset.verify import check_dataset
from data_preprocessing.images import nifti_file
from data_preprocessing.images.checks.finding import Row
from data_preprocessing.jobs import process_pool as scheduler
from data_preprocessing.jobs.backend import Processes
from nnunet_tf.data import folds
from tests.data_preprocessing.check_samples import (
    AFFINE,
    CASES,
    SHAPE,
    Sample,
    intensities,
    numbers,
    patch,
    said,
    with_value,
    write_sample,
)
from tests.data_preprocessing.samples import refused, save

REAL_DATA = Path(__file__).parents[4] / "shared" / "data"


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return write_sample(tmp_path)


def entry(case: str) -> dict[str, str]:
    return {"image": f"./imagesTr/{case}.nii", "label": f"./labelsTr/{case}.nii"}


def test_a_clean_data_set_has_no_findings(sample):
    assert sample.check() == []


@pytest.mark.skipif(not (REAL_DATA / "Task04_Hippocampus").is_dir(), reason=f"no Task04_Hippocampus in {REAL_DATA}")
@pytest.mark.slow
def test_the_hippocampus_of_the_decathlon_has_no_errors():
    told = []
    findings = check_dataset(
        load_task("04").dataset, 3, REAL_DATA, Processes(), on_case=lambda done, total: told.append((done, total))
    )
    assert [finding for finding in findings if finding.level == "error"] == []
    assert told[-1] == (200, 200)


# dataset.json


def test_a_missing_folder_is_an_error_and_refused_in_the_same_words(tmp_path):
    (finding,) = Sample(tmp_path).check()
    assert (finding.level, finding.row) == ("error", Row.LISTING)
    with refused(said(finding), "--data"):
        load_dataset(tmp_path, "Task91_Tiny")


@pytest.mark.parametrize("content", [None, b"{", b"[]", b"\xff"])
def test_a_dataset_json_that_is_none_is_one_error_and_refused_in_the_same_words(sample, content):
    sample.description.unlink()
    if content is not None:
        sample.description.write_bytes(content)
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.file) == ("error", Row.LISTING, str(sample.description))
    with refused(said(finding)):
        load_dataset(sample.data, sample.folder.name)


@pytest.mark.parametrize(
    "part", [{"modality": ["MRI"]}, {"labels": {"1": "organ"}}, {"training": "imagesTr"}, {"training": []}], ids=str
)
def test_a_malformed_part_is_an_error_and_refused_in_the_same_words(sample, part):
    sample.describe(**part)
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.file) == ("error", Row.LISTING, str(sample.description))
    with refused(said(finding)):
        load_dataset(sample.data, sample.folder.name)


def test_all_malformed_parts_are_found_and_the_files_are_checked_all_the_same(sample):
    sample.describe(modality=["MRI"], labels=["background"])
    sample.image("b").write_bytes(b"")
    findings = sample.check()
    assert [finding.row for finding in findings] == [Row.LISTING, Row.LISTING, Row.EMPTY_FILE]
    assert "labels" in findings[0].problem
    assert "modality" in findings[1].problem


@pytest.mark.parametrize("part", ["image", "label"])
def test_a_file_that_is_not_there_is_an_error_and_refused_in_the_same_words(sample, part):
    path = getattr(sample, part)()
    path.unlink()
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.case, finding.file) == ("error", Row.LISTING, "c", str(path))
    with refused(said(finding), "listed in dataset.json"):
        load_dataset(sample.data, sample.folder.name)


def test_every_file_that_is_not_there_is_found(sample):
    missing = [sample.image("a"), sample.image("d"), sample.label("d"), sample.label("e")]
    for path in missing:
        path.unlink()
    assert sorted(finding.file for finding in sample.check()) == sorted(map(str, missing))


@pytest.mark.parametrize("number", [4, 6, "five"])
def test_a_wrong_number_of_training_cases_is_a_warning(sample, number):
    sample.describe(numTraining=number)
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.file) == ("warning", Row.LISTING, str(sample.description))
    assert f"numTraining is {number}, but 5" in finding.problem


@pytest.mark.parametrize("number", [5, 6, None])
def test_resource_files_of_macos_are_handled_whether_they_are_counted_or_not(sample, number):
    sample.image("._a").write_bytes(b"resource")
    sample.describe(numTraining=number, training=[entry("._a"), *map(entry, CASES)])
    assert sample.check() == []


@pytest.mark.parametrize("count", [2, 4])
def test_fewer_cases_than_folds_are_an_error_and_refused_by_the_split(sample, count):
    sample.describe(cases=CASES[:count])
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.file) == ("error", Row.FEW_CASES, str(sample.description))
    assert "--nfolds" in finding.remedy
    with refused("", f"cannot be split into 5 folds.*--nfolds {count}"):
        folds.split(CASES[:count], 0)
    assert folds.split(CASES[:count], 0, count).training


def test_a_single_case_is_a_warning_and_can_be_learnt_but_not_split(sample):
    sample.describe(cases=CASES[:1])
    (finding,) = sample.check()
    assert (finding.level, finding.row) == ("warning", Row.FEW_CASES)
    for count in (2, 5):
        with refused("", "cannot be split.*--fold all"):
            folds.split(CASES[:1], 0, count)
    assert folds.split(CASES[:1], "all") == folds.Fold(("a",), ())


def test_the_folds_are_those_of_training():
    assert FOLDS == folds.FOLDS


def test_a_case_listed_again_is_a_warning_told_once(sample):
    sample.describe(training=[*map(entry, CASES), entry("c"), entry("c")], numTraining=7)
    save(sample.image(), np.zeros(SHAPE, np.int16), AFFINE)
    findings = sample.check()
    assert [(finding.level, finding.row) for finding in findings] == [
        ("warning", Row.LISTED_TWICE),
        ("warning", Row.CONSTANT),
    ]
    assert "2 training cases are listed again" in findings[0].problem


def test_two_cases_of_one_name_are_an_error_and_refused_in_the_same_words(sample):
    other = {"image": "./labelsTr/c.nii", "label": "./labelsTr/c.nii"}
    sample.describe(training=[*map(entry, CASES), other])
    error = next(finding for finding in sample.check() if finding.level == "error")
    assert error.row == Row.LISTED_TWICE
    with refused(said(error), "c is there twice"):
        load_dataset(sample.data, sample.folder.name)


def test_a_case_listed_twice_counts_once_among_the_folds(sample):
    sample.describe(training=[entry("a"), entry("b"), entry("c"), entry("d"), entry("d")])
    assert sample.rows() == [Row.FEW_CASES, Row.LISTED_TWICE]


@pytest.mark.parametrize("test", [["./imagesTr/c.nii"], ["imagesTs/x.nii", {"image": "imagesTr/../imagesTr/c.nii"}]])
def test_a_training_image_that_is_a_test_image_too_is_a_warning(sample, test):
    sample.describe(test=test)
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.file) == ("warning", Row.LISTED_TWICE, str(sample.description))
    assert "c.nii is a training and a test image" in finding.problem


@pytest.mark.parametrize("test", [[], ["imagesTs/c.nii"], None, 3, [None, {"label": "x"}]])
def test_other_test_images_are_fine(sample, test):
    sample.describe(test=test)
    assert sample.check() == []


# All cases together


def test_a_class_in_no_case_is_a_warning(sample):
    sample.describe(labels={"0": "background", "1": "organ", "2": "lesion", "3": "vessel", "7": "duct"})
    findings = sample.check()
    assert [(finding.level, finding.row) for finding in findings] == [("warning", Row.ABSENT_CLASS)] * 2
    assert [finding.problem[:16] for finding in findings] == ["class 3 (vessel)", "class 7 (duct) i"]


def test_a_class_in_a_single_case_is_present(sample):
    for case in "abde":
        save(sample.label(case), np.minimum(numbers(), 1), AFFINE)
    assert sample.check() == []


def test_labels_without_background_are_fine(sample):
    for case in CASES:
        save(sample.label(case), numbers() + 1 - numbers() // 2, AFFINE)
    assert sample.check() == []


def test_labels_that_are_all_empty_are_one_error(sample):
    for case in CASES:
        save(sample.label(case), np.zeros(SHAPE, np.uint8), AFFINE)
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.file) == ("error", Row.NO_FOREGROUND, str(sample.description))


def test_labels_that_cannot_be_read_say_nothing_about_the_classes(sample):
    for case in CASES:
        sample.label(case).write_bytes(b"")
    assert sample.rows() == [Row.EMPTY_FILE] * 5


# Everything at once


def spoil_everything(sample: Sample) -> None:
    sample.describe(numTraining=9)
    patch(sample.image("a"), "xyzt_units", 3)
    sample.label("a").write_bytes(sample.label("a").read_bytes()[:-1])
    save(sample.image("b"), with_value(intensities(dtype=np.float32), np.nan), AFFINE)
    save(sample.label("b"), with_value(numbers(), 5), 2 * AFFINE)
    sample.image("d").unlink()
    patch(sample.image("e"), "pixdim", 3, first=1)


SPOILT = [
    ("error", Row.SHORTER_THAN_ITS_HEADER_SAYS, "a"),
    ("error", Row.NOT_FINITE, "b"),
    ("error", Row.LABEL_GRID, "b"),
    ("error", Row.UNDECLARED_LABEL, "b"),
    ("error", Row.LISTING, "d"),
    ("warning", Row.LISTING, ""),
    ("warning", Row.PIXDIM_DIFFERS, "e"),
    ("warning", Row.UNIT, "a"),
]


def test_every_problem_of_every_case_is_found_and_the_worst_come_first(sample):
    spoil_everything(sample)
    assert [(finding.level, finding.row, finding.case) for finding in sample.check()] == SPOILT


def test_several_processes_find_the_same(sample, monkeypatch):
    spoil_everything(sample)
    monkeypatch.setattr(scheduler, "BYTES_WORTH_PROCESSES", 0)  # otherwise so small a data set is left to one
    assert sample.check(backend=Processes(2)) == sample.check()


def test_progress_is_told_after_each_case(sample):
    told = []
    sample.check(on_case=lambda done, total: told.append((done, total)))
    assert told == [(done, 5) for done in range(1, 6)]


def test_each_volume_is_read_once(sample, monkeypatch):
    read, original = Counter(), nifti_file.read_content

    def counting(path: Path, *others) -> bytes:
        read[path] += 1
        return original(path, *others)

    monkeypatch.setattr(nifti_file, "read_content", counting)
    sample.check()
    volumes = [*map(sample.image, CASES), *map(sample.label, CASES)]
    assert {path: times for path, times in read.items() if path.suffix == ".nii"} == dict.fromkeys(volumes, 1)


def test_checking_changes_nothing_on_disk(sample):
    before = {path: path.stat().st_mtime_ns for path in sample.folder.rglob("*")}
    sample.check()
    assert {path: path.stat().st_mtime_ns for path in sample.folder.rglob("*")} == before
    assert json.loads(sample.description.read_text())["numTraining"] == 5


def test_what_a_raw_folder_of_nnunet_lacks_is_a_finding(tmp_path):
    raw = tmp_path / "Dataset097_Mine"
    (raw / "imagesTr").mkdir(parents=True)
    (raw / "imagesTr" / "a_0000.nii.gz").touch()
    description = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, "organ": 1}, "file_ending": ".nii.gz"}
    (raw / "dataset.json").write_text(json.dumps(description))
    (finding,) = check_dataset(raw.name, 3, tmp_path, Processes())
    assert (finding.level, finding.row) == ("error", Row.LISTING)
    assert finding.file == str(raw / "labelsTr" / "a.nii.gz")
    assert finding.remedy.startswith("restore it")
