from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.images.checks.finding import Row
from data_preprocessing.images.nifti_file import load_nifti
from data_preprocessing.images.volume_io import read_image, read_label
from tests.data_preprocessing.check_samples import (
    AFFINE,
    SHAPE,
    Sample,
    intensities,
    numbers,
    patch,
    said,
    write_affine,
    write_sample,
)
from tests.data_preprocessing.samples import OBLIQUE, RAS_SPACING, every_layout, moved, refused, save


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return write_sample(tmp_path)


def turned(degrees: float, spacing: float = 1.0) -> np.ndarray:
    """An affine turned about the third axis."""
    angle = np.radians(degrees)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:2, :2] = spacing * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return affine


def sheared(cosine: float) -> np.ndarray:
    affine = np.eye(4)
    affine[0, 1] = np.tan(np.arcsin(cosine))
    return affine


def move(sample: Sample, affine: np.ndarray, image_shape: tuple[int, ...] = SHAPE) -> None:
    """Lays image and label of case c on another grid, with a header that agrees with it."""
    save(sample.image(), intensities(image_shape), affine)
    save(sample.label(), numbers(), affine)


def code(sample: Sample, sform: np.ndarray | None, qform: np.ndarray | None) -> None:
    """Writes image and label of case c with these forms, each coded unless it is None."""
    for path, voxels in ((sample.image(), intensities()), (sample.label(), numbers())):
        image = nib.Nifti1Image(voxels, None)
        image.set_qform(qform, code=0 if qform is None else 1)
        image.set_sform(sform, code=0 if sform is None else 1)
        nib.save(image, path)


def code_with_pixdim(sample: Sample, first: float) -> None:
    """Codes both forms, with another first number in pixdim."""
    code(sample, AFFINE, AFFINE)
    patch(sample.image(), "pixdim", first, first=1)


# Affines that cannot be used

UNUSABLE = [
    (Row.SINGULAR_AFFINE, np.diag([1.0, 1.0, 0.0, 1.0]), "singular"),
    (Row.SINGULAR_AFFINE, np.array([[1, 2, 0, 0], [1, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "singular"),
    (Row.SINGULAR_AFFINE, np.array([[0.1, 0.3, 0, 0], [0.7, 2.1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "singular"),
    (Row.SINGULAR_AFFINE, np.diag([1.0, np.nan, 1.0, 1.0]), "not finite"),
    (Row.SINGULAR_AFFINE, np.diag([1.0, np.inf, 1.0, 1.0]), "not finite"),
    (Row.SHEARED, sheared(0.011), "sheared: two axes meet at 89.37 degrees"),
    (Row.SHEARED, sheared(-0.3), "sheared"),
]


@pytest.mark.parametrize(("row", "affine", "match"), UNUSABLE)
@pytest.mark.parametrize("part", ["image", "label"])
def test_an_unusable_affine_is_an_error_and_refused_in_the_same_words(sample, part, row, affine, match):
    path = getattr(sample, part)()
    write_affine(path, affine)
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.case, finding.file) == ("error", row, "c", str(path))
    with refused(said(finding), match):
        load_nifti(path)


def test_the_voxels_behind_an_unusable_affine_are_checked_all_the_same(sample):
    save(sample.image(), np.full(SHAPE, np.nan, np.float32), AFFINE)
    write_affine(sample.image(), np.zeros((3, 4)))
    assert sample.rows() == [Row.SINGULAR_AFFINE, Row.NOT_FINITE]


@pytest.mark.parametrize("value", [0, np.nan])
@pytest.mark.parametrize("form", ["qform", "neither"])
def test_without_an_sform_an_unset_pixdim_is_an_unusable_affine(sample, value, form):
    code(sample, None, AFFINE if form == "qform" else None)
    patch(sample.image(), "pixdim", value, first=2)
    errors = [finding for finding in sample.check() if finding.level == "error"]
    assert [finding.row for finding in errors] == [Row.SINGULAR_AFFINE]
    with refused(said(errors[0])):
        read_image((sample.image(),))


def test_spacing_of_nanometres_is_not_singular(sample):
    move(sample, np.diag([4e-6, 4e-6, 4e-5, 1]))
    assert sample.rows() == [Row.UNLIKELY_SPACING]


# Headers that can be lived with

ODD_HEADERS: list[tuple[str, Row, Callable[[Sample], None], str]] = [
    ("pixdim 0", Row.PIXDIM_UNSET, lambda sample: patch(sample.image(), "pixdim", 0, first=2), "0.5 x 0 x 2.5"),
    ("pixdim NaN", Row.PIXDIM_UNSET, lambda sample: patch(sample.image(), "pixdim", np.nan, first=1), "nan x"),
    ("pixdim 0, both forms", Row.PIXDIM_UNSET, lambda sample: code_with_pixdim(sample, 0), "0 x 1.5 x 2.5"),
    ("neither form", Row.NO_ORIENTATION, lambda sample: code(sample, None, None), "left and right are assumed"),
    ("qform turned", Row.QFORM_DIFFERS, lambda sample: code(sample, turned(3), turned(0)), "qform"),
    ("qform mirrored", Row.QFORM_DIFFERS, lambda sample: code(sample, np.diag([-1, 1, 1, 1]), np.eye(4)), "qform"),
    ("qform moved", Row.QFORM_DIFFERS, lambda sample: code(sample, moved(np.eye(4), 1, 3, 0.5), np.eye(4)), "qform"),
    ("pixdim differs", Row.PIXDIM_DIFFERS, lambda sample: patch(sample.image(), "pixdim", 0.6, first=1), "0.6 x 1.5"),
    ("little shear", Row.SHEARED, lambda sample: move(sample, sheared(0.009)), "taken for straight"),
    ("43 degrees", Row.NEAR_45_DEGREES, lambda sample: move(sample, turned(43)), "43.0 degrees"),
    ("45 degrees", Row.NEAR_45_DEGREES, lambda sample: move(sample, turned(-45)), "45.0 degrees"),
    ("metres", Row.UNIT, lambda sample: patch(sample.image(), "xyzt_units", 1 + 8), "metres"),
    ("microns", Row.UNIT, lambda sample: patch(sample.image(), "xyzt_units", 3 + 8), "microns"),
    ("too fine", Row.UNLIKELY_SPACING, lambda sample: move(sample, np.diag([1, 1, 0.0099, 1])), "0.0099 mm"),
    ("too coarse", Row.UNLIKELY_SPACING, lambda sample: move(sample, np.diag([1, 20.1, 1, 1])), "1 x 20.1 x 1 mm"),
]


@pytest.mark.parametrize(
    ("row", "spoil", "match"), [odd[1:] for odd in ODD_HEADERS], ids=[odd[0] for odd in ODD_HEADERS]
)
def test_an_odd_header_is_one_warning_and_the_image_is_read(sample, row, spoil, match):
    spoil(sample)
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.case, finding.file) == ("warning", row, "c", str(sample.image()))
    assert match in f"{finding.problem}; {finding.remedy}"
    labels = read_label(sample.label(), read_image((sample.image(),)))
    np.testing.assert_array_equal(np.bincount(labels.ravel()), np.bincount(numbers().ravel()))


def test_a_qform_that_is_no_rotation_is_a_warning_beside_an_sform(sample):
    code(sample, AFFINE, AFFINE)
    patch(sample.image(), "quatern_b", 2.0)
    (finding,) = sample.check()
    assert (finding.level, finding.row) == ("warning", Row.QFORM_DIFFERS)


def test_an_odd_header_of_a_label_has_no_consequence_and_is_not_reported(sample):
    patch(sample.label(), "pixdim", 9, 9, 9, first=1)
    patch(sample.label(), "xyzt_units", 3)
    assert sample.check() == []


ROUNDED = np.round(OBLIQUE[0].affine(SHAPE, (1, 1, 1)), 4)  # directions as a DICOM header may have them
USUAL: list[tuple[str, Callable[[Sample], None]]] = [
    ("negative pixdim", lambda sample: patch(sample.image(), "pixdim", -0.5, -1.5, -2.5, first=1)),
    ("negative pixdim, both forms", lambda sample: code_with_pixdim(sample, -0.5)),
    ("negative pixdim, qform only", lambda sample: (code(sample, None, AFFINE), negate(sample))),
    ("qform only", lambda sample: code(sample, None, AFFINE)),
    ("sform only", lambda sample: code(sample, turned(20), None)),
    ("both forms", lambda sample: code(sample, turned(30), turned(30))),
    ("both forms, nearly half a turn", lambda sample: code(sample, turned(179.95, 5.0), turned(179.95, 5.0))),
    ("rounded directions", lambda sample: move(sample, ROUNDED)),
    ("35 degrees", lambda sample: move(sample, turned(35))),
    ("fine", lambda sample: move(sample, np.diag([0.011, 0.011, 0.011, 1]))),
    ("coarse", lambda sample: move(sample, np.diag([1, 1, 19.9, 1]))),
    ("millimetres and seconds", lambda sample: patch(sample.image(), "xyzt_units", 2 + 8)),
    ("no unit", lambda sample: patch(sample.image(), "xyzt_units", 0)),
]


def negate(sample: Sample) -> None:
    for path in (sample.image(), sample.label()):
        patch(path, "pixdim", *(-np.array(RAS_SPACING)), first=1)


@pytest.mark.parametrize("spoil", [usual[1] for usual in USUAL], ids=[usual[0] for usual in USUAL])
def test_a_usual_header_is_handled_in_silence(sample, spoil):
    spoil(sample)
    assert sample.check() == []


@every_layout
def test_every_orientation_is_handled_in_silence(sample, layout):
    affine = layout.affine(SHAPE, RAS_SPACING)
    save(sample.image(), layout.voxels(intensities()), affine)
    save(sample.label(), layout.voxels(numbers()), affine)
    assert sample.check() == []


# Slices


@pytest.mark.parametrize("shape", [(5, 6, 1), (1, 5, 6), (5, 6)])
def test_a_single_slice_is_an_error_in_3d_and_fine_in_2d(sample, shape):
    save(sample.image(), intensities(shape), AFFINE)
    save(sample.label(), np.ones(shape, np.uint8), AFFINE)
    (finding,) = sample.check(dim=3)
    assert (finding.level, finding.row) == ("error", Row.SINGLE_SLICE)
    assert "--dim 2" in finding.remedy
    assert sample.check(dim=2) == []


@pytest.mark.parametrize("thickness", [0, 50])
def test_the_thickness_of_a_single_slice_does_not_matter(sample, thickness):
    affine = np.diag([1, 1, thickness or 1, 1])
    save(sample.image(), intensities((5, 6, 1)), affine)
    save(sample.label(), np.ones((5, 6, 1), np.uint8), affine)
    patch(sample.image(), "pixdim", thickness, first=3)
    assert sample.check(dim=2) == []


# Grids of one case


@pytest.mark.parametrize("shape", [(5, 6, 8), (6, 5, 7), (5, 6)])
def test_a_label_of_another_shape_is_an_error_and_refused_in_the_same_words(sample, shape):
    save(sample.label(), np.ones(shape, np.uint8), AFFINE)
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.file) == ("error", Row.LABEL_SHAPE, str(sample.label()))
    with refused(said(finding), "never resized"):
        read_label(sample.label(), read_image((sample.image(),)))


def test_a_label_of_several_channels_is_an_error_and_refused_in_the_same_words(sample):
    save(sample.label(), np.ones((*SHAPE, 2), np.uint8), AFFINE)
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.file) == ("error", Row.LABEL_SHAPE, str(sample.label()))
    with refused(said(finding), "one number a voxel"):
        read_label(sample.label(), read_image((sample.image(),)))


def test_a_label_affine_within_the_tolerance_is_handled(sample):
    save(sample.label(), numbers(), moved(AFFINE, 1, 3, 9e-4))
    assert sample.check() == []


@pytest.mark.parametrize("affine", [moved(AFFINE, 1, 3, 2e-3), moved(AFFINE, 1, 3, -40), np.diag([-0.5, -1.5, 2.5, 1])])
def test_a_label_on_another_grid_is_an_error_and_refused_in_the_same_words(sample, affine):
    save(sample.label(), numbers(), affine)
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.file) == ("error", Row.LABEL_GRID, str(sample.label()))
    with refused(said(finding), "--trust-grid"):
        read_label(sample.label(), read_image((sample.image(),)))


@pytest.mark.parametrize("affine", [moved(AFFINE, 1, 3, 2e-3), moved(AFFINE, 1, 3, -40)])
def test_a_trusted_grid_is_a_warning_and_the_label_lies_on_its_image_voxel_by_voxel(sample, affine):
    expected = read_label(sample.label(), read_image((sample.image(),)))
    save(sample.label(), numbers(), affine)
    (finding,) = sample.check(trust_grid=True)
    assert (finding.level, finding.row) == ("warning", Row.LABEL_GRID)
    labels = read_label(sample.label(), read_image((sample.image(),)), trust_grid=True)
    np.testing.assert_array_equal(labels, expected)


def test_a_trusted_grid_does_not_excuse_another_shape(sample):
    save(sample.label(), np.ones((5, 6, 8), np.uint8), AFFINE)
    assert sample.rows(trust_grid=True) == [Row.LABEL_SHAPE]
    with refused(sample.label(), "never resized"):
        read_label(sample.label(), read_image((sample.image(),)), trust_grid=True)


@pytest.mark.parametrize(("shape", "affine"), [(SHAPE, moved(AFFINE, 1, 3, 0.1)), ((5, 6, 8), AFFINE)])
def test_channels_on_different_grids_are_an_error_and_refused_in_the_same_words(sample, shape, affine):
    for case in "abcde":
        sample.image(case).rename(sample.image(case, channel=0))
        save(sample.image(case, channel=1), intensities(), moved(AFFINE, 1, 3, 9e-4))
    sample.describe(modality={"0": "T1", "1": "T2"})
    assert sample.check() == []
    save(sample.image(channel=1), intensities(shape), affine)
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.file) == ("error", Row.CHANNEL_GRID, str(sample.image(channel=1)))
    with refused(said(finding), "grid"):
        read_image((sample.image(channel=0), sample.image(channel=1)))
