import json

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.dataset import load_dataset
from data_preprocessing.dataset.scans import find_images
from data_preprocessing.images.volume_io import read_image, read_label
from data_preprocessing.synthetic.phantom import (
    ORIENTATIONS,
    Options,
    main,
    make_case,
    make_grid,
    sample_case,
    write_dataset,
)

SMALL = Options(field_of_view_mm=40)
CASES = range(12)
BACKGROUND, ORGAN, LESION = range(3)


def spacing_of(phantom):
    return np.linalg.norm(phantom.affine[:3, :3], axis=0)


def millilitres(phantom, label):
    return np.sum(phantom.label == label) * np.prod(spacing_of(phantom)) / 1000


@pytest.fixture(scope="module")
def cases():
    return [make_case(index, SMALL) for index in CASES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom") / "Task00_Phantom"
    write_dataset(folder, Options(cases=5, channels=2, field_of_view_mm=30))
    return folder


def test_the_same_seed_gives_the_same_voxels(cases):
    again = make_case(3, SMALL)
    np.testing.assert_array_equal(again.image, cases[3].image)
    np.testing.assert_array_equal(again.label, cases[3].label)
    np.testing.assert_array_equal(again.affine, cases[3].affine)


def test_another_seed_gives_another_anatomy(cases):
    first, other = (sample_case(0, Options(seed=seed, field_of_view_mm=40), "RAS", (2, 2, 2)) for seed in (0, 1))
    assert np.mean(first.label != other.label) > 0.01
    assert np.mean(first.image != other.image) > 0.9


def test_another_case_has_another_anatomy():
    first, other = (sample_case(index, SMALL, "RAS", (2, 2, 2)) for index in (0, 1))
    assert np.mean(first.label != other.label) > 0.01


def test_a_case_does_not_depend_on_how_many_there_are(cases):
    np.testing.assert_array_equal(make_case(2, Options(cases=3, field_of_view_mm=40)).image, cases[2].image)


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("label", [ORGAN, LESION])
def test_every_orientation_of_a_case_shows_the_same_anatomy(index, label):
    volumes = [millilitres(sample_case(index, SMALL, name, (1, 1, 1)), label) for name in ORIENTATIONS]
    assert max(volumes) / min(volumes) < 1.05


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_organ_is_at_the_same_place_in_every_orientation(orientation):
    def centre(name):
        phantom = sample_case(0, SMALL, name, (1.2, 1.2, 1.5))
        return phantom.affine[:3] @ [*ndimage.center_of_mass(phantom.label > 0), 1]

    np.testing.assert_allclose(centre(orientation), centre("RAS"), atol=0.3)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_grid_is_centred_on_the_origin_with_the_spacing_given(orientation):
    grid = make_grid(orientation, (1.0, 1.5, 2.5), (30, 30, 30))
    assert grid.shape == (30, 20, 12)
    np.testing.assert_allclose(np.linalg.norm(grid.affine[:3, :3], axis=0), (1.0, 1.5, 2.5))
    np.testing.assert_allclose(grid.points().mean(axis=(0, 1, 2)), 0, atol=1e-9)
    np.testing.assert_allclose(grid.points()[3, 4, 5], (grid.affine @ (3, 4, 5, 1))[:3])


def test_the_cases_take_turns_in_orientation(cases):
    codes = ["".join(nib.aff2axcodes(phantom.affine)) for phantom in cases]
    turned = [bool(np.abs(phantom.affine[0, 1]) > 0.01) for phantom in cases]
    assert codes[0::3] == ["RAS"] * 4
    assert codes[1::3] == ["LPS"] * 4
    assert turned == [index % 3 == 2 for index in CASES]


def test_some_cases_have_thick_slices(cases):
    ratios = [spacing_of(phantom)[2] / spacing_of(phantom)[0] for phantom in cases]
    assert 3 <= sum(ratio > 1.6 for ratio in ratios) <= 6


def test_the_cases_differ_in_shape_and_spacing(cases):
    assert len({phantom.image.shape for phantom in cases}) > 6
    assert len({tuple(spacing_of(phantom).round(3)) for phantom in cases}) == len(cases)


@pytest.mark.parametrize("index", CASES)
def test_organ_and_lesion_together_have_no_holes(cases, index):
    inside = cases[index].label != BACKGROUND
    np.testing.assert_array_equal(ndimage.binary_fill_holes(inside), inside)


@pytest.mark.parametrize("index", CASES)
def test_the_lesion_lies_inside_the_organ(cases, index):
    # It may reach the organ's surface; most of it is walled in.
    label = cases[index].label
    lesion = label == LESION
    bare = lesion & ndimage.binary_dilation(label == BACKGROUND)
    assert 0 < lesion.sum() < np.sum(label == ORGAN)
    assert bare.sum() < 0.25 * lesion.sum()


@pytest.mark.parametrize("index", CASES)
def test_the_organ_is_one_piece_that_the_border_does_not_cut(cases, index):
    inside = cases[index].label != BACKGROUND
    assert ndimage.label(inside)[1] == 1
    core = np.zeros_like(inside)
    core[1:-1, 1:-1, 1:-1] = True
    assert not (inside & ~core).any()


def test_mri_voxels_are_magnitudes(cases):
    for phantom in cases:
        assert phantom.image.dtype == np.int16
        assert phantom.image.min() >= 0


def test_the_mri_organ_is_brighter_than_its_lesion_and_the_air_is_dark(cases):
    for phantom in cases:
        organ, lesion = (phantom.image[phantom.label == label].mean() for label in (ORGAN, LESION))
        assert organ > lesion > 2 * phantom.image[0, 0].mean()


def test_ct_voxels_look_like_hounsfield_units():
    phantom = sample_case(0, Options(ct=True, field_of_view_mm=40), "RAS", (1.3, 1.3, 1.3))
    assert phantom.image.dtype == np.int16
    assert phantom.image[0, 0, 0] == pytest.approx(-1000, abs=60)
    assert phantom.image[phantom.label == ORGAN].mean() == pytest.approx(115, abs=15)
    assert phantom.image[phantom.label == LESION].mean() == pytest.approx(60, abs=20)
    assert phantom.image.max() < 300


def test_channels_come_last_and_differ_in_contrast():
    phantom = sample_case(0, Options(channels=3, field_of_view_mm=40), "RAS", (1.5, 1.5, 1.5))
    assert phantom.image.shape == (*phantom.label.shape, 3)
    organs = [phantom.image[..., channel][phantom.label == ORGAN].mean() for channel in range(3)]
    assert len(set(np.round(organs, -1))) == 3


def test_a_further_channel_leaves_the_label_as_it_is():
    one, two = (sample_case(0, Options(channels=n, field_of_view_mm=40), "RAS", (2, 2, 2)) for n in (1, 2))
    np.testing.assert_array_equal(one.label, two.label)


@pytest.mark.parametrize("index", CASES)
def test_2d_cases_are_one_slice_with_every_label(index):
    phantom = make_case(index, Options(dim=2, field_of_view_mm=40))
    assert phantom.image.shape == phantom.label.shape
    assert phantom.image.shape[2] == 1
    assert np.unique(phantom.label).tolist() == [BACKGROUND, ORGAN, LESION]


def test_a_written_data_set_loads(folder):
    dataset = load_dataset(folder.parent, folder.name)
    assert dataset.channels == ("MRI", "MRI")
    assert dataset.labels == {0: "background", 1: "organ", 2: "lesion"}
    assert [case.name for case in dataset.training] == [f"phantom_{index:03d}" for index in range(4)]


def test_a_written_data_set_has_test_images_with_labels_that_are_no_training_cases(folder):
    content = json.loads((folder / "dataset.json").read_text())
    assert content["test"] == ["./imagesTs/phantom_004.nii.gz"]
    assert (content["numTraining"], content["numTest"]) == (4, 1)
    assert [case.name for case in find_images(folder / "imagesTs", 2)] == ["phantom_004"]
    assert [path.name for path in (folder / "labelsTs").iterdir()] == ["phantom_004.nii.gz"]


def test_written_cases_are_those_of_make_case(folder):
    options = Options(cases=5, channels=2, field_of_view_mm=30)
    for case in load_dataset(folder.parent, folder.name).training[:3]:
        phantom = make_case(int(case.name[-3:]), options)
        np.testing.assert_array_equal(np.asarray(nib.load(case.images[0]).dataobj), phantom.image)
        np.testing.assert_array_equal(np.asarray(nib.load(case.label).dataobj), phantom.label)


def test_written_labels_lie_on_their_images(folder):
    for case in load_dataset(folder.parent, folder.name).training:
        labels = read_label(case.label, read_image(case.images))
        assert np.unique(labels).tolist() == [BACKGROUND, ORGAN, LESION]


def test_written_files_have_both_forms_and_millimetres(folder):
    for path in sorted((folder / "imagesTr").iterdir()):
        header = nib.load(path).header
        assert (header["sform_code"], header["qform_code"]) == (1, 1)
        np.testing.assert_allclose(header.get_qform(), header.get_sform(), atol=1e-4)
        assert header.get_xyzt_units()[0] == "mm"


def test_the_command_writes_what_its_options_say(tmp_path, capsys):
    arguments = ["--cases", "2", "--seed", "3", "--channels", "2", "--ct", "--dim", "2"]
    main(["--output", str(tmp_path / "Task00_Phantom"), *arguments])
    dataset = load_dataset(tmp_path, "Task00_Phantom")
    image = np.asarray(nib.load(dataset.training[0].images[0]).dataobj)
    np.testing.assert_array_equal(image, make_case(0, Options(cases=2, seed=3, channels=2, ct=True, dim=2)).image)
    assert dataset.channels == ("CT", "CT")
    assert "2 cases" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--cases", "1"], ["--channels", "0"], ["--dim", "4"], ["--cases", "many"]])
def test_the_command_refuses_options_that_cannot_be(tmp_path, arguments):
    with pytest.raises(UserError):
        main(["--output", str(tmp_path / "Task00_Phantom"), *arguments])
    assert list(tmp_path.iterdir()) == []
