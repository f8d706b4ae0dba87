"""Which files of a folder are the series, and what their cases are called."""

import json

import numpy as np
import pytest
from pydicom import Dataset, uid

from data_preprocessing.dataset.dataset import load_dataset
from data_preprocessing.dataset.scans import find_images
from data_preprocessing.dataset.verify import check_dataset
from data_preprocessing.images.checks.finding import Row, Unusable
from data_preprocessing.images.image_file import load_image
from data_preprocessing.images.volume_io import read_image
from data_preprocessing.jobs.backend import Processes
from data_preprocessing.planning.plan import make_plan
from nnunet_tf.inference.volume.inputs import read_scan
from tests.data_preprocessing.images.formats.dicom_samples import (
    SPACING,
    header,
    save_dataset,
    stored_numbers,
    write_enhanced,
    write_folder,
    write_object,
    write_slice,
)
from tests.data_preprocessing.samples import make_config, make_dataset, refused, save

STORED = stored_numbers()
TRUTH = STORED.astype(np.float32) - 1024
OBJECTS = {
    "RTSTRUCT": uid.RTStructureSetStorage,
    "RTPLAN": uid.RTPlanStorage,
    "RTDOSE": uid.RTDoseStorage,
    "SR": uid.BasicTextSRStorage,
    "dose SR": uid.XRayRadiationDoseSRStorage,
    "SEG": uid.SegmentationStorage,
    "PR": uid.GrayscaleSoftcopyPresentationStateStorage,
    "KO": uid.KeyObjectSelectionDocumentStorage,
    "REG": uid.SpatialRegistrationStorage,
    "PDF": uid.EncapsulatedPDFStorage,
    "DICOMDIR": uid.MediaStorageDirectoryStorage,
    "private": "1.3.12.2.1107.5.9.1",
}
PLAN = make_plan(make_config(), make_dataset(), 3)


def check(folder, findings=0):
    volume = read_image((folder,))
    np.testing.assert_array_equal(volume.array[..., 0], TRUTH[:, ::-1, ::-1])
    assert volume.spacing == pytest.approx(SPACING[::-1])
    assert [finding.level for finding in volume.findings] == ["warning"] * findings
    return volume


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("first", [True, False])
def test_objects_that_are_no_images_are_passed_over(tmp_path, name, first):
    write_folder(tmp_path / "s", STORED)
    elements = {"Modality": "OT"}
    if name in ("RTDOSE", "SEG"):  # have pixels
        elements |= {"Rows": 4, "Columns": 4, "BitsAllocated": 16, "NumberOfFrames": 3, "PixelData": bytes(96)}
    write_object(tmp_path / "s" / ("A" if first else "Z"), OBJECTS[name], **elements)
    check(tmp_path / "s")
    assert [case.images for case in find_images(tmp_path / "s", 1)] == [(tmp_path / "s",)]


@pytest.mark.parametrize("name", OBJECTS)
def test_a_folder_without_an_image_says_what_it_holds(tmp_path, name):
    path = write_object(tmp_path / "s" / "a", OBJECTS[name])
    with refused(tmp_path / "s"):
        load_image(path.parent)
    with refused(tmp_path / "s", "holds no image"):
        find_images(path.parent, 1)


@pytest.mark.parametrize("others", ["txt", "jpg", "bin", "empty"])
def test_any_number_of_other_files_may_come_first(tmp_path, others):
    write_folder(tmp_path / "s", STORED)
    content = {"txt": b"about this disc", "jpg": b"\xff\xd8\xff", "bin": bytes(500), "empty": b""}[others]
    suffix = ".jpg" if others == "jpg" else ""
    for number in range(20):
        (tmp_path / "s" / f"A{number}{suffix}").write_bytes(content)
    check(tmp_path / "s")
    if others == "jpg":
        with pytest.warns(UserWarning, match="pictures"):
            assert [case.name for case in find_images(tmp_path / "s", 1)] == ["s"]
    else:
        assert [case.name for case in find_images(tmp_path / "s", 1)] == ["s"]


def test_images_of_another_format_come_before_the_series_beside_them(tmp_path):
    write_folder(tmp_path / "s", STORED)
    save(tmp_path / "s" / "converted.nii.gz", STORED)
    with pytest.warns(UserWarning, match="DICOM"):
        assert [case.name for case in find_images(tmp_path / "s", 1)] == ["converted"]


@pytest.mark.parametrize("same_series", [True, False])
def test_localizers_beside_other_images_are_passed_over_and_told(tmp_path, same_series):
    write_folder(tmp_path / "s", STORED)
    series = {} if same_series else {"SeriesInstanceUID": "1.2.9"}
    write_slice(
        tmp_path / "s" / "A", stored_numbers(1)[0, :5], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
        ImageOrientationPatient=[0, 1, 0, 0, 0, -1], **series,
    )  # fmt: skip
    (finding,) = check(tmp_path / "s", findings=1).findings
    assert "A" in finding.problem


def test_images_without_a_place_are_passed_over_and_told(tmp_path):
    write_folder(tmp_path / "s", STORED)
    write_slice(
        tmp_path / "s" / "report", STORED[0], SOPClassUID=uid.SecondaryCaptureImageStorage, ImagePositionPatient=None,
        SeriesInstanceUID="1.2.9",
    )  # fmt: skip
    check(tmp_path / "s", findings=1)


def test_two_series_are_an_error_that_names_both(tmp_path):
    write_folder(tmp_path / "s", STORED, SeriesNumber=2, SeriesDescription="arterial")
    for k, pixels in enumerate(STORED):
        write_slice(tmp_path / "s" / f"x{k}", pixels, k, SeriesInstanceUID="1.9", SeriesDescription="venous")
    with pytest.raises(Unusable, match=r"arterial \(6 files\), venous \(6 files\)") as caught:
        load_image(tmp_path / "s")
    assert caught.value.finding.row == Row.DICOM_SERIES


@pytest.mark.parametrize("times", [2, 3])
@pytest.mark.parametrize("moved", [0, 1e-4])
def test_a_series_over_time_is_refused_for_what_it_is(tmp_path, times, moved):
    for time in range(times):
        for k, pixels in enumerate(STORED):
            place = [-10, -20, round(5 + k * SPACING[2] + moved * time, 6)]
            write_slice(
                tmp_path / "s" / f"{k}_{time}", pixels, k, ImagePositionPatient=place, TemporalPositionIdentifier=time
            )
    with refused(tmp_path / "s", f"{times} images of each of 6 places"):
        load_image(tmp_path / "s")


def test_frames_over_time_in_an_enhanced_file_are_refused(tmp_path):
    write_enhanced(tmp_path / "s" / "one", STORED, [0, 1, 2, 0, 1, 2])
    with refused(tmp_path / "s", "2 images of each of 3 places"):
        load_image(tmp_path / "s")


def test_slices_are_ordered_by_their_place_alone(tmp_path):
    for k, pixels in enumerate(STORED):
        write_slice(tmp_path / "s" / f"{(k * 5) % 6}", pixels, k, InstanceNumber=(k * 5 + 2) % 6, SliceLocation=-k)
    check(tmp_path / "s")


@pytest.mark.parametrize("steps", [[0, 1, 2.3, 3, 4, 5], [0, 1, 2, 4, 5, 6], [0, 1, 2, 2, 3, 4]])
def test_slices_that_are_not_evenly_spaced_are_refused(tmp_path, steps):
    for step, pixels in zip(steps, STORED, strict=True):
        write_slice(tmp_path / "s" / f"{step}_{pixels[0, 0]}", pixels, ImagePositionPatient=[-10, -20, 5 + 2 * step])
    with refused(tmp_path / "s"):
        load_image(tmp_path / "s")


@pytest.mark.parametrize(("aside", "tilt"), [(5, 0), (-0.4, 0), (3, 0.4)])
def test_a_slice_aside_from_the_line_of_the_others_is_refused(tmp_path, aside, tilt):
    for k, pixels in enumerate(STORED):
        position = [-10 + aside * (k == 3), -20 + tilt * k, 5 + k * SPACING[2]]
        write_slice(tmp_path / "s" / f"{k}", pixels, k, ImagePositionPatient=position)
    with refused(tmp_path / "s" / "3"):
        load_image(tmp_path / "s")


def write_patients(root):
    for patient in ("PAT1", "PAT2"):
        for series in ("SE01", "SE02"):
            write_folder(root / patient / "ST1" / series, STORED, PatientID=patient)
    return root


def test_series_are_found_at_any_depth_and_called_after_their_path(tmp_path):
    write_patients(tmp_path / "disc")
    write_object(tmp_path / "disc" / "DICOMDIR", OBJECTS["DICOMDIR"])
    (tmp_path / "disc" / "PAT1" / "ST1" / "viewer").mkdir()
    (tmp_path / "disc" / "PAT1" / "ST1" / "viewer" / "run.exe").write_bytes(b"MZ")
    cases = find_images(tmp_path / "disc", 1)
    assert [case.name for case in cases] == ["PAT1-ST1-SE01", "PAT1-ST1-SE02", "PAT2-ST1-SE01", "PAT2-ST1-SE02"]
    for case in cases:
        check(case.images[0])


@pytest.mark.parametrize("has_series", [False, True])
def test_series_far_below_a_folder_of_images_are_told_of(tmp_path, has_series):
    write_patients(tmp_path / "disc")
    save(tmp_path / "disc" / "converted.nii.gz", STORED)
    if has_series:
        write_folder(tmp_path / "disc", STORED)
    with pytest.warns(UserWarning) as told:
        assert [case.name for case in find_images(tmp_path / "disc", 1)] == ["converted"]
    assert "PAT1" in str(told[-1].message)


@pytest.mark.parametrize("channels", [1, 2])
def test_folders_that_end_in_four_digits_are_cases_of_their_own(tmp_path, channels):
    for patient in ("0001", "0002"):
        write_folder(tmp_path / "PAT" / patient / "SE", STORED)
    names = [case.name for case in find_images(tmp_path / "PAT", channels)]
    assert names == ["0001-SE", "0002-SE"]


def test_the_name_of_a_series_does_not_depend_on_others_in_the_folder(tmp_path):
    write_folder(tmp_path / "PAT1" / "ST1" / "SE02", STORED)
    assert [case.name for case in find_images(tmp_path, 1)] == ["PAT1-ST1-SE02"]


def test_two_series_of_one_name_that_are_given_by_name_are_told_apart(tmp_path, monkeypatch):
    write_patients(tmp_path)
    given = [tmp_path / patient / "ST1" / "SE02" for patient in ("PAT1", "PAT2")]
    assert [case.name for case in find_images(given, 1)] == ["PAT1-ST1-SE02", "PAT2-ST1-SE02"]
    assert [case.name for case in find_images(given[:1], 1)] == ["SE02"]
    listed = tmp_path / "scans.txt"
    listed.write_text("\n".join(map(str, given)))
    assert [case.name for case in find_images(listed, 1)] == ["PAT1-ST1-SE02", "PAT2-ST1-SE02"]
    listed.write_text(str(tmp_path / "PAT1"))
    assert [case.name for case in find_images(listed, 1)] == ["ST1-SE01", "ST1-SE02"]
    monkeypatch.chdir(given[0])
    (case,) = find_images(type(tmp_path)("."), 1)
    assert case.name == "SE02"


def test_a_folder_of_localizers_among_others_is_passed_over_and_told(tmp_path):
    write_folder(tmp_path / "PAT" / "SE01", STORED[:1], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_folder(tmp_path / "PAT" / "SE02", STORED)
    with pytest.warns(UserWarning, match="localizer"):
        assert [case.name for case in find_images(tmp_path / "PAT", 1)] == ["SE02"]
    assert [case.name for case in find_images(tmp_path / "PAT" / "SE01", 1)] == ["SE01"]


def test_a_link_back_does_not_lead_round(tmp_path):
    write_folder(tmp_path / "in" / "a" / "SE", STORED)
    (tmp_path / "in" / "a" / "back").symlink_to(tmp_path / "in", target_is_directory=True)
    assert len(find_images(tmp_path / "in", 1)) == 1


def test_a_folder_of_folders_as_one_image_names_one_of_them(tmp_path):
    write_patients(tmp_path)
    with refused(tmp_path / "PAT1", "SE01"):
        load_image(tmp_path / "PAT1")


@pytest.mark.parametrize("suffix", ["", ".dcm", ".ima"])
def test_one_file_of_a_series_is_refused_by_its_content(tmp_path, suffix):
    path = write_slice(tmp_path / f"IM1{suffix}", STORED[0])
    with refused(path, "give the folder"):
        find_images(path, 1)


@pytest.mark.parametrize("length", [20, 150, 300])
def test_a_damaged_file_is_refused_with_or_without_preamble(tmp_path, length):
    for preamble in (True, False):
        path = write_folder(tmp_path / f"{preamble}", STORED, preamble=preamble)[5]
        path.write_bytes(path.read_bytes()[:length])
        if preamble and length < 132:
            continue  # nothing is left of DICOM
        with refused(path):
            load_image(path.parent)
        assert find_images(path.parent, 1)


def write_tiny_dataset(folder, modality, images, **changes):
    entries = []
    for number, name in enumerate(images):
        write_folder(folder / "imagesTr" / name, STORED, **changes)
        label = (TRUTH.T > 500).astype(np.uint8)
        path = folder / "labelsTr" / f"case{number}.nii.gz"
        save(path, label, load_image(folder / "imagesTr" / name).affine)
        entries.append({"image": f"imagesTr/{name}", "label": f"labelsTr/{path.name}"})
    content = {"modality": {"0": modality}, "labels": {"0": "background", "1": "bright"}, "training": entries}
    (folder / "dataset.json").write_text(json.dumps(content))


def test_patients_with_series_of_one_name_can_be_trained_on(tmp_path):
    names = [f"PAT{number}/ST/SE02" for number in range(5)]
    write_tiny_dataset(tmp_path / "Task91_Tiny", "CT", names)
    assert check_dataset("Task91_Tiny", 3, tmp_path, Processes()) == []
    cases = load_dataset(tmp_path, "Task91_Tiny").training
    assert [case.name for case in cases] == [f"PAT{number}-ST-SE02" for number in range(5)]
    found = find_images(tmp_path / "Task91_Tiny" / "imagesTr", 1)
    assert [case.name for case in found] == [case.name for case in cases]


MODALITIES = [
    ("MRI", "CT", True), ("T1w", "CT", True), ("T2", "CT", True), ("FLAIR", "CT", True), ("cineMRI", "CT", True),
    ("ADC", "PT", True), ("CT", "MR", True), ("CT_native", "PT", True), ("PET", "CT", True),
    ("MRI", "MR", False), ("CT", "CT", False), ("contrast", "CT", False), ("0", "MR", False), ("membrane", "CT", False),
    ("MRI", "OT", False), ("MRI", None, False), ("PET", "PT", False), ("CTA", "CT", False), ("t1gd", "MR", False),
]  # fmt: skip


@pytest.mark.parametrize(("channel", "modality", "warned"), MODALITIES)
def test_a_scan_of_another_modality_is_warned_of(tmp_path, channel, modality, warned):
    write_tiny_dataset(tmp_path / "Task91_Tiny", channel, "abcde", Modality=modality)
    findings = [f for f in check_dataset("Task91_Tiny", 3, tmp_path, Processes()) if f.row == Row.OTHER_MODALITY]
    assert [finding.level for finding in findings] == ["warning"] * (5 if warned else 0)
    plan = make_plan(make_config(normalization="z_score"), make_dataset((channel,)), 3)
    (case,) = find_images(tmp_path / "Task91_Tiny" / "imagesTr" / "a", 1)
    found = [f for f in read_scan(case, [plan]).findings if f.row == Row.OTHER_MODALITY]
    assert [(f.level, f.file) for f in found] == ([("warning", str(case.images[0]))] if warned else [])


def test_the_channel_of_another_modality_is_named(tmp_path):
    for name, modality in (("p_0000", "MR"), ("p_0001", "CT")):
        write_folder(tmp_path / "in" / name, STORED, Modality=modality)
    plan = make_plan(make_config(normalization="z_score"), make_dataset(("T1", "T2")), 3)
    (case,) = find_images(tmp_path / "in", 2)
    found = [f.file for f in read_scan(case, [plan]).findings if f.row == Row.OTHER_MODALITY]
    assert found == [str(tmp_path / "in" / "p_0001")]


def test_what_a_header_says_is_not_run_over_lines(tmp_path):
    write_folder(tmp_path / "s", STORED, SeriesDescription="one\ntwo\x1b[31m")
    write_slice(tmp_path / "s" / "other", STORED[0], SeriesInstanceUID="1.9", SeriesDescription="[bold]ü")
    with refused(tmp_path / "s"):
        load_image(tmp_path / "s")


def test_a_sequence_of_no_use_does_not_matter(tmp_path):
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3"
    item.ImagePositionPatient = [9, 9, 9]
    dataset = header(STORED[0], ReferencedImageSequence=[item] * 3)
    dataset.PixelData = STORED[0].tobytes()
    dataset["PixelData"].VR = "OW"
    save_dataset(tmp_path / "s" / "one", dataset)
    np.testing.assert_array_equal(np.asarray(load_image(tmp_path / "s").dataobj).T, TRUTH[:1])


@pytest.mark.parametrize(
    "changes",
    [
        {"PatientID": "another"},
        {"ImageType": ["ORIGINAL", "PRIMARY", "P"]},
        {"ComplexImageComponent": "PHASE"},
    ],
)
def test_slices_of_two_patients_or_of_magnitude_and_phase_are_no_volume(tmp_path, changes):
    common = {"ImageType": ["ORIGINAL", "PRIMARY", "M"]}
    for k, pixels in enumerate(stored_numbers(4)):
        write_slice(tmp_path / "series" / f"{k}.dcm", pixels, k, **(common | (changes if k % 2 else {})))
    with refused(tmp_path / "series"):
        load_image(tmp_path / "series")
