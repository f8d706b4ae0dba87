"""Files of one case on one grid in space, whatever the order in which each stores its voxels."""

import itertools
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.dataset.dataset import Case
from data_preprocessing.images.checks.finding import Row
from data_preprocessing.images.checks.grids import compare_grids
from data_preprocessing.images.volume_io import read_image, read_label
from data_preprocessing.planning.fingerprint import collect_case
from data_preprocessing.planning.plan import make_plan
from data_preprocessing.shards.format import image_path, label_path
from data_preprocessing.shards.pipeline import preprocess_case
from tests.data_preprocessing.check_samples import AFFINE, SHAPE, Sample, intensities, numbers, write_sample
from tests.data_preprocessing.samples import (
    LAYOUTS,
    LPS,
    RAS,
    RAS_SPACING,
    Layout,
    anatomy,
    make_config,
    make_dataset,
    moved,
    refused,
    save,
)

PAIRS = list(itertools.product(LAYOUTS, repeat=2))
TURNED = [(replace(one, oblique=True), replace(other, oblique=True)) for one, other in PAIRS[::5]]


@pytest.fixture
def sample(tmp_path) -> Sample:
    return write_sample(tmp_path)


def turned(degrees: float) -> np.ndarray:
    """An affine turned about the third axis, of isotropic voxels."""
    angle = np.radians(degrees)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return affine


def test_all_pairs_of_orientations_of_one_grid_are_the_same_grid():
    for one, other in PAIRS + TURNED:
        shapes = [layout.voxels(anatomy()).shape for layout in (one, other)]
        difference = compare_grids(shapes[0], one.affine(), shapes[1], other.affine())
        assert difference.none
        assert difference.reordered == (one != other)


def test_all_pairs_of_orientations_of_grids_apart_can_only_be_trusted_within_a_voxel():
    for one, other in PAIRS + TURNED:
        shapes = [layout.voxels(anatomy()).shape for layout in (one, other)]
        for by, trusted in ((0.004, True), (3.0, one == other)):
            difference = compare_grids(shapes[0], moved(one.affine(), 0, 3, by), shapes[1], other.affine())
            assert not difference.none
            assert difference.can_be_trusted == trusted


def test_labels_in_all_pairs_of_orientations_lie_on_their_image_as_nibabel_says(tmp_path):
    ras = anatomy()
    affine = RAS.affine()
    expected = nib.as_closest_canonical(nib.Nifti1Image(ras, affine)).get_fdata().T
    images = {layout: save(tmp_path / f"{layout}.nii", layout.voxels(ras), layout.affine()) for layout in LAYOUTS}
    volumes = {layout: read_image((path,)) for layout, path in images.items()}
    for image, label in PAIRS:
        np.testing.assert_array_equal(volumes[image].array[..., 0], expected)
        np.testing.assert_array_equal(read_label(images[label], volumes[image]), expected)
    shifted = save(tmp_path / "shifted.nii", LPS.voxels(ras), moved(LPS.affine(), 1, 3, 0.004))
    np.testing.assert_array_equal(read_label(shifted, volumes[RAS], trust_grid=True), expected)


def test_channels_in_all_orientations_lie_on_one_another(tmp_path):
    ras = anatomy()
    files = {layout: save(tmp_path / f"{layout}.nii", layout.voxels(ras), layout.affine()) for layout in LAYOUTS}
    for one, other in [*((each, RAS) for each in LAYOUTS), *((RAS, each) for each in LAYOUTS), *PAIRS[::11]]:
        volume = read_image((files[one], files[other]))
        np.testing.assert_array_equal(volume.array[..., 1], volume.array[..., 0])
        np.testing.assert_array_equal(volume.source.affine, one.affine())


def test_near_45_degrees_a_label_in_another_voxel_order_lies_on_its_image(tmp_path):
    voxels = anatomy((4, 5, 3))
    image = save(tmp_path / "image.nii.gz", voxels, turned(45.001))
    stored = voxels.transpose(1, 0, 2)[::-1, :, ::-1]
    order = np.array([[0, 1, 0, 0], [-1, 0, 0, 4], [0, 0, -1, 2], [0, 0, 0, 1]])  # from the stored index to the image's
    for index in np.ndindex(stored.shape):
        assert stored[index] == voxels[tuple((order @ (*index, 1))[:3])]
    label = save(tmp_path / "label.nii.gz", stored, turned(44.999) @ order)
    volume = read_image((image,))
    np.testing.assert_array_equal(read_label(label, volume), volume.array[..., 0])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_axis_of_one_voxel_can_be_flipped(axis):
    shape = tuple(1 if number == axis else size for number, size in enumerate(SHAPE))
    affine = AFFINE.copy()
    affine[axis, axis] *= -1
    assert compare_grids(shape, affine, shape, AFFINE).none
    difference = compare_grids(shape, moved(affine, axis, 3, 3.0), shape, AFFINE)
    assert not difference.none
    assert difference.can_be_trusted


# Where images meet labels

MIXED = [
    Layout((0, 1, 2), (1, 1, 1)),
    LPS,
    Layout((2, 0, 1), (-1, 1, -1)),
    Layout((1, 0, 2), (1, -1, -1), oblique=True),
]
mixed_pairs = pytest.mark.parametrize(
    ("image", "label"),
    [(one, other) for one, other in itertools.permutations(MIXED, 2) if one.oblique == other.oblique],
)


def write_case(folder, image, label, channel=None):
    """A case of two channels; `channel` is the layout of the second one."""
    affine = {layout: layout.affine(SHAPE, RAS_SPACING) for layout in (image, label, channel or image)}
    files = [
        (image, "a_0000", intensities()),
        (channel or image, "a_0001", intensities()[::-1]),
        (label, "a", numbers()),
    ]
    paths = [save(folder / f"{name}.nii", layout.voxels(ras), affine[layout]) for layout, name, ras in files]
    return Case("a", (paths[0], paths[1]), paths[2])


@mixed_pairs
def test_shards_and_fingerprint_do_not_depend_on_the_order_of_voxels(tmp_path, image, label):
    shards, fingerprints = [], []
    config = make_config(spacing_3d=(2.0, 1.0, 0.7))
    for name, layouts in (("same", (image, image)), ("other", (image, label, label))):
        folder = tmp_path / name
        case, dataset = write_case(folder, *layouts), replace(make_dataset(("T1", "T2")), folder=folder)
        dataset = replace(dataset, labels={0: "background", 1: "organ", 2: "lesion"})
        preprocess_case(case, dataset, make_plan(config, dataset, 3), folder, "float32")
        shards.append([np.load(path(folder, "a")) for path in (image_path, label_path)])
        fingerprints.append(collect_case(case, dataset, samples=50))
    for one, other in zip(*shards, strict=True):
        np.testing.assert_array_equal(one, other)
    assert fingerprints[0][0] == fingerprints[1][0]
    np.testing.assert_array_equal(fingerprints[0][1], fingerprints[1][1])


@mixed_pairs
def test_checking_finds_nothing_in_another_order_of_voxels(sample, image, label):
    save(sample.image(), image.voxels(intensities()), image.affine(SHAPE, RAS_SPACING))
    save(sample.label(), label.voxels(numbers()), label.affine(SHAPE, RAS_SPACING))
    assert sample.check() == []


@mixed_pairs
@pytest.mark.parametrize("by", [3.0, 40.0])
def test_a_trusted_grid_never_crosses_an_orientation(sample, image, label, by):
    save(sample.image(), image.voxels(intensities()), image.affine(SHAPE, RAS_SPACING))
    save(sample.label(), label.voxels(numbers()), moved(label.affine(SHAPE, RAS_SPACING), 1, 3, by))
    for trust_grid in (False, True):
        (finding,) = sample.check(trust_grid=trust_grid)
        assert (finding.level, finding.row, finding.file) == ("error", Row.LABEL_GRID, str(sample.label()))
        with refused(sample.label()):
            read_label(sample.label(), read_image((sample.image(),)), trust_grid)


@pytest.mark.parametrize(
    ("affine", "trusted"),
    [
        (moved(AFFINE, 0, 3, 55.0), True),
        (np.diag([0.6, 1.4, 5.0, 1.0]), True),
        (np.diag([-0.5, -1.5, 2.5, 1.0]), False),
        (turned(0.5), True),
        (turned(5), False),
        (turned(90), False),
        (turned(180), False),
    ],
)
def test_only_origin_and_spacing_can_be_trusted(sample, affine, trusted):
    save(sample.label(), numbers(), affine)
    (finding,) = sample.check(trust_grid=True)
    assert (finding.level, finding.row) == ("warning" if trusted else "error", Row.LABEL_GRID)


def test_a_label_of_the_same_numbers_of_voxels_along_other_axes_is_refused(sample):
    label = Layout((1, 0, 2), (1, 1, 1))
    save(sample.label(), numbers(), label.affine(SHAPE, RAS_SPACING))  # its shape agrees, but not axis by axis
    for trust_grid in (False, True):
        (finding,) = sample.check(trust_grid=trust_grid)
        assert (finding.level, finding.row) == ("error", Row.LABEL_GRID)
