import numpy as np
import pytest
from nibabel.affines import apply_affine
from pydicom import dcmread

from data_preprocessing.common.errors import UserError
from data_preprocessing.images.orientation import from_ras_zyx
from data_preprocessing.images.volume_io import label_image, read_image
from nnunet_tf.answers.dicom_segmentation import write_segmentation
from tests.data_preprocessing.images.formats.dicom_samples import (
    COLUMNS,
    ROWS,
    SPACING,
    stored_numbers,
    write_enhanced,
    write_slice,
)

NAMES = {0: "background", 4: "organ", 9: "gone", 7: "lesion"}
LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])
TURNED = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0][:2]
ORIENTATIONS = {
    "axial": [1, 0, 0, 0, 1, 0],
    "axial, feet first": [-1, 0, 0, 0, 1, 0],
    "prone": [-1, 0, 0, 0, -1, 0],
    "sagittal": [0, 1, 0, 0, 0, -1],
    "coronal": [1, 0, 0, 0, 0, -1],
    "oblique": [round(value, 6) for value in TURNED.ravel().tolist()],
}


def write_series(folder, orientation, backwards=False, slices=6, rows=ROWS, columns=COLUMNS):
    """Writes a series whose files are named and numbered in another order than their places."""
    normal = np.cross(orientation[:3], orientation[3:])
    order = list(range(slices))[:: -1 if backwards else 1]
    pixels = np.random.default_rng(0).integers(0, 3000, (slices, rows, columns)).astype(np.uint16)
    for k, rank in enumerate(order):
        position = np.array([-10, -20, 5]) + k * SPACING[2] * normal
        write_slice(
            folder / f"IM{(rank * 5 + 2) % slices:04d}",
            pixels[k],
            k,
            ImageOrientationPatient=orientation,
            ImagePositionPatient=[f"{value:.6f}" for value in position],
            InstanceNumber=rank + 1,
            FrameOfReferenceUID="1.2.3.77",
        )
    return folder


def places_of(path):
    """Decodes an object by the standard's rules: for each segment's label, the places (mm, RAS+) of its voxels."""
    dataset = dcmread(path)
    frames = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    row_step, column_step = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    labels = {segment.SegmentNumber: segment.SegmentLabel for segment in dataset.SegmentSequence}
    found = {label: set() for label in labels.values()}
    for frame, groups in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        corner = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        label = labels[groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber]
        for row, column in np.argwhere(frame):
            place = corner + column * column_step * cosines[0] + row * row_step * cosines[1]
            found[label].add(tuple(np.round(place * LPS_TO_RAS, 2) + 0.0))
    return found


def expected_places(labels, source):
    image = label_image(labels, source)
    voxels = np.asarray(image.dataobj)
    return {
        name: {tuple(np.round(apply_affine(image.affine, at), 2) + 0.0) for at in np.argwhere(voxels == number)}
        for number, name in NAMES.items()
        if number
    }


def made_up(volume):
    return np.random.default_rng(2).choice(np.array([0, 0, 4, 7], np.uint8), volume.array.shape[:3])


def close(found, expected):
    assert found.keys() == expected.keys()
    for name, places in expected.items():
        assert len(found[name]) == len(places)
        if places:
            a, b = (np.array(sorted(each)) for each in (found[name], places))
            tree = np.abs(a[:, None, :] - b[None, :, :]).max(axis=2).min(axis=1)
            assert tree.max() < 0.02


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_every_voxel_lies_where_the_nifti_result_has_it(tmp_path, orientation, backwards):
    folder = write_series(tmp_path / "series", orientation, backwards)
    volume = read_image((folder,))
    labels = made_up(volume)
    write_segmentation(tmp_path / "seg.dcm", folder, labels, volume.source, NAMES)
    close(places_of(tmp_path / "seg.dcm"), expected_places(labels, volume.source))


def test_frames_of_a_size_that_is_no_multiple_of_eight_follow_each_other_bit_by_bit(tmp_path):
    folder = write_series(tmp_path / "series", ORIENTATIONS["axial"], rows=7, columns=9)
    volume = read_image((folder,))
    labels = made_up(volume)
    write_segmentation(tmp_path / "seg.dcm", folder, labels, volume.source, NAMES)
    close(places_of(tmp_path / "seg.dcm"), expected_places(labels, volume.source))


def test_a_frame_names_the_image_it_was_made_from(tmp_path):
    folder = write_series(tmp_path / "series", ORIENTATIONS["coronal"], backwards=True)
    volume = read_image((folder,))
    write_segmentation(tmp_path / "seg.dcm", folder, made_up(volume), volume.source, NAMES)
    positions = {}
    for path in folder.iterdir():
        header = dcmread(path)
        positions[header.SOPInstanceUID] = header.ImagePositionPatient
    dataset = dcmread(tmp_path / "seg.dcm")
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        origin = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        np.testing.assert_allclose(frame.PlanePositionSequence[0].ImagePositionPatient, positions[origin], atol=1e-5)
    assert dataset.FrameOfReferenceUID == "1.2.3.77"
    assert dataset.PatientID == "one"
    assert dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == "1.2.3.4.5"
    assert len(dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 6


def test_a_multi_frame_series_is_referred_to_by_frame(tmp_path):
    stored = stored_numbers()
    order = [3, 0, 5, 1, 4, 2]
    folder = write_enhanced(tmp_path / "series" / "a.dcm", stored, order).parent
    volume = read_image((folder,))
    labels = made_up(volume)
    write_segmentation(tmp_path / "seg.dcm", folder, labels, volume.source, NAMES)
    close(places_of(tmp_path / "seg.dcm"), expected_places(labels, volume.source))
    for frame in dcmread(tmp_path / "seg.dcm").PerFrameFunctionalGroupsSequence:
        number = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        place = 5 + order[number - 1] * SPACING[2]
        assert float(frame.PlanePositionSequence[0].ImagePositionPatient[2]) == pytest.approx(place)


def test_empty_frames_are_left_out_but_for_one_where_nothing_was_found(tmp_path):
    folder = write_series(tmp_path / "series", ORIENTATIONS["axial"])
    volume = read_image((folder,))
    labels = np.zeros(volume.array.shape[:3], np.uint8)
    write_segmentation(tmp_path / "none.dcm", folder, labels, volume.source, NAMES)
    assert dcmread(tmp_path / "none.dcm").NumberOfFrames == 1
    assert not any(places_of(tmp_path / "none.dcm").values())
    labels[2, 3, 4] = 7
    write_segmentation(tmp_path / "one.dcm", folder, labels, volume.source, NAMES)
    assert dcmread(tmp_path / "one.dcm").NumberOfFrames == 1
    close(places_of(tmp_path / "one.dcm"), expected_places(labels, volume.source))


def test_a_series_that_has_changed_is_refused(tmp_path):
    folder = write_series(tmp_path / "series", ORIENTATIONS["axial"])
    volume = read_image((folder,))
    labels = made_up(volume)
    assert from_ras_zyx(labels, volume.source.affine).shape[2] == 6
    write_series(folder, ORIENTATIONS["axial"], slices=7)
    with pytest.raises(UserError, match="series"):
        write_segmentation(tmp_path / "seg.dcm", folder, labels, volume.source, NAMES)
    assert not (tmp_path / "seg.dcm").exists()
