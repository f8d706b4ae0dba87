"""What cannot be made a data set of is refused, and nothing is left behind."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.layouts.find import Request
from tests.data import layouts
from tests.data_preprocessing.dataset.layouts.test_layouts import T1_FLAIR, content_of, make, request_of
from tests.data_preprocessing.samples import refused


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "mine"


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "data" / "Task100_Mine"


def refuse(root: Path, folder: Path, request: Request, *names: str, **choices) -> None:
    """The request is refused, naming all of `names`, with nothing written anywhere."""
    before = content_of(root.parent)
    with pytest.raises(UserError) as caught:
        make(root, folder, request, **choices)
    assert all(name in str(caught.value) for name in names)
    assert len(str(caught.value).splitlines()) == 1
    assert content_of(root.parent) == before


def test_a_label_that_fits_two_images(root, folder):
    layouts.paired_names(root)
    shutil.copy(root / "scans" / "scan_1.nii.gz", root / "scans" / "other_1.nii.gz")
    refuse(root, folder, request_of("paired", root), "seg_1.nii.gz", "scan_1.nii.gz", "other_1.nii.gz", "--table")


def test_a_label_without_an_image(root, folder):
    layouts.paired_names(root)
    (root / "scans" / "scan_2.nii.gz").rename(root / "scans" / "scan_9.nii.gz")
    refuse(root, folder, request_of("paired", root), "seg_2.nii.gz", "--table")


def test_an_existing_data_set(root, folder):
    layouts.paired_names(root)
    make(root, folder, request_of("paired", root))
    refuse(root, folder, request_of("paired", root), "dataset.json", "--overwrite")
    make(root, folder, request_of("paired", root), overwrite=True)


def test_combined_masks_never_go_where_inputs_lie(root):
    layouts.structure_masks(root)
    request = Request(root, image="ct.nii.gz", masks="segmentations")
    (root / "Task100_Mine").mkdir()
    (root / "s0001" / "segmentations").rename(root / "Task100_Mine" / "labelsTr")
    (root / "s0001" / "segmentations").symlink_to(root / "Task100_Mine" / "labelsTr")
    refuse(root, root / "Task100_Mine", request, "--output")


def test_a_folder_of_inputs_is_kept_when_it_is_the_output(root):
    layouts.channels_by_suffix(root, flat=False)
    before = content_of(root)
    make(root, root, Request(root, channels=T1_FLAIR, label="*_seg.nii.gz"))
    assert {path: sum_ for path, sum_ in content_of(root).items() if not path.endswith("dataset.json")} == before


def test_values_that_could_be_any_modality(root, folder):
    for name, each in {f"scan_{index}": layouts.scan(index, 1, "mr") for index in (1, 2)}.items():
        layouts.save_nifti(root / "scans" / f"{name}.nii.gz", each.image[..., 0])
        layouts.save_nifti(root / "masks" / f"{name}.nii.gz", each.label)
    refuse(root, folder, request_of("paired", root), "--modality")
    assert make(root, folder, request_of("paired", root), channels=("MRI",)).channels == ("MRI",)


def test_values_of_a_ct_in_files_called_otherwise(root, folder):
    layouts.per_patient(root)
    for path in root.glob("P*/ct.nii.gz"):
        path.rename(path.with_name("t1.nii.gz"))
    refuse(root, folder, Request(root, image="t1.nii.gz", label="seg.nii.gz"), "--modality")


def test_another_number_of_channels(root, folder):
    layouts.per_patient(root)
    refuse(root, folder, request_of("patients", root), "MRI", channels=("CT", "MRI"))


def test_a_pattern_that_matches_two_files(root, folder):
    layouts.channels_by_suffix(root, flat=False)
    shutil.copy(root / "sub-1" / "sub-1_t1.nii.gz", root / "sub-1" / "sub-1_run2_t1.nii.gz")
    refuse(root, folder, request_of("channels", root), "sub-1_run2_t1.nii.gz", "--channel")


@pytest.mark.parametrize("flat", [True, False])
def test_a_channel_that_is_missing(root, folder, flat):
    layouts.channels_by_suffix(root, flat)
    next(root.rglob("sub-2_flair.nii.gz")).unlink()
    refuse(root, folder, request_of("channels", root), "sub-2", "FLAIR")


def test_a_label_on_another_grid_names_its_case(root, folder):
    layouts.per_patient(root)
    for name in ("P002", "P003"):
        layouts.save_nifti(root / name / "seg.nii.gz", np.zeros((20, 18, 10), np.uint8), flip=False)
    refuse(root, folder, request_of("patients", root), "P002", "P003", "seg.nii.gz")


def test_a_label_map_given_as_a_mask(root, folder):
    layouts.structure_masks(root)
    path = root / "s0002" / "segmentations" / "liver.nii.gz"
    image = nib.load(path)
    layouts.save_nifti(path, np.asarray(image.dataobj) * np.arange(1, 12, dtype=np.uint8), flip=False)
    refuse(root, folder, request_of("masks", root), "liver.nii.gz", "--label")


def test_a_segmentation_off_the_grid(root, folder):
    oracle = layouts.dicom_tree(root)
    mask = {"liver": next(iter(oracle.values())).label == 2}
    path = root / "P1" / "ST1" / "SEG" / "seg.dcm"
    layouts.write_segmentation(path, mask, "BINARY", "1.2.3.1.1", "1.2.3.1.9", "1.2.3.1", x=0.3)
    refuse(root, folder, request_of("dicom", root), "P1-ST1-CT", "seg.dcm")


def test_a_segmentation_beyond_the_image(root, folder):
    oracle = layouts.dicom_tree(root)
    mask = {"liver": next(iter(oracle.values())).label == 2}
    path = root / "P1" / "ST1" / "SEG" / "seg.dcm"
    beyond = layouts.SPACING[0] * layouts.SHAPE[0]
    layouts.write_segmentation(path, mask, "BINARY", "1.2.3.1.1", "1.2.3.1.9", "1.2.3.1", x=beyond)
    refuse(root, folder, request_of("dicom", root), "P1-ST1-CT", "seg.dcm")


def test_two_segmentations_of_one_series(root, folder):
    layouts.dicom_tree(root)
    shutil.copy(root / "P1" / "ST1" / "SEG" / "seg.dcm", root / "P1" / "ST1" / "SEG" / "again.dcm")
    refuse(root, folder, request_of("dicom", root), "seg.dcm", "again.dcm")


def test_a_truncated_segmentation(root, folder):
    layouts.dicom_tree(root)
    path = root / "P2" / "ST1" / "SEG" / "seg.dcm"
    path.write_bytes(path.read_bytes()[:-200])
    refuse(root, folder, request_of("dicom", root), "seg.dcm")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("scan9;files/none.nii;files/scan1b.nii;files/scan1_truth.nii.gz;p;train", "none.nii"),
        ("scan9;files/scan0a.nii;;files/scan1_truth.nii.gz;p;train", "T2"),
        ("scan9;files/scan0a.nii;files/scan0b.nii;files/scan1_truth.nii.gz;p;tomorrow", "tomorrow"),
        ("scan0;files/scan0a.nii;files/scan0b.nii;files/scan1_truth.nii.gz;p;train", "scan0"),
        ("scan9;files/scan0a.nii;files/scan0b.nii;files/scan1_truth.nii.gz;p;train;more", "line 8"),
    ],
)
def test_a_wrong_line_of_a_table(root, folder, line, named):
    layouts.table(root)
    with open(root / "cases.csv", "a", encoding="utf-8") as stream:
        stream.write(line + "\n")
    refuse(root, folder, request_of("table", root), "cases.csv", named)


def test_a_folder_that_is_a_data_set_already(root, folder):
    layouts.per_patient(root)
    make(root, root, request_of("patients", root))
    refuse(root, folder, Request(root), "dataset.json")


def test_a_folder_of_two_folders_is_told_the_command(root, folder):
    layouts.paired_names(root)
    refuse(root, folder, Request(root), "--images", str(root / "scans"), "--labels", str(root / "masks"))


def test_a_number_without_a_name(root, folder):
    layouts.per_patient(root)
    refuse(root, folder, request_of("patients", root), "--names", names={1: "kidney", 2: "liver"})


def test_a_name_that_no_mask_has(root, folder):
    layouts.structure_masks(root)
    refuse(root, folder, request_of("masks", root), "pancreas", "liver", names={1: "pancreas"})


def test_a_damaged_image_names_its_file(root, folder):
    layouts.per_patient(root)
    path = root / "P004" / "ct.nii.gz"
    path.write_bytes(path.read_bytes()[:200])
    with refused(path):
        make(root, folder, request_of("patients", root))
    assert not folder.exists()
