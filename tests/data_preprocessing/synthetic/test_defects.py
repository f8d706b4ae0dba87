import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.task import load_task
from data_preprocessing.dataset.dataset import load_dataset
from data_preprocessing.dataset.scans import find_images
from data_preprocessing.images.volume_io import load_label, read_image
from data_preprocessing.planning.plan import make_plan
from data_preprocessing.synthetic.defects import Options, main, make_surface, write_dataset, write_surface

SMALL = Options(cases=12, size=64)


@pytest.fixture(scope="module")
def surfaces():
    return [make_surface(index, SMALL) for index in range(SMALL.cases)]


def test_the_same_seed_gives_the_same_picture_and_another_another(surfaces):
    again, other = make_surface(3, SMALL), make_surface(3, Options(size=64, seed=1))
    np.testing.assert_array_equal(again.image, surfaces[3].image)
    np.testing.assert_array_equal(again.label, surfaces[3].label)
    assert np.mean(other.image != again.image) > 0.5


@pytest.mark.parametrize(("share", "count"), [(0.5, 6), (0.25, 3), (0, 0), (1, 12)])
def test_as_many_pictures_as_asked_for_have_a_defect(share, count):
    labels = [make_surface(index, Options(size=32, defect_share=share)).label for index in range(12)]
    assert sum(label.any() for label in labels) == count


def test_a_defect_is_one_ellipse_inside_the_picture(surfaces):
    for surface in surfaces:
        assert set(np.unique(surface.label)) <= {0, 1}
        if surface.label.any():
            assert ndimage.label(surface.label)[1] == 1
            assert not surface.label[[0, -1]].any() and not surface.label[:, [0, -1]].any()
            assert 0.004 < surface.label.mean() < 0.06


def test_every_picture_has_the_brightness_and_contrast_of_the_others(surfaces):
    for surface in surfaces:
        assert surface.image.dtype == np.uint8
        assert abs(surface.image.mean() - 128) < 3
        assert abs(surface.image.std() - 26) < 3


def test_a_defect_is_weak_but_there(surfaces):
    differences = []
    for surface in surfaces:
        if surface.label.any():
            inside = surface.image[surface.label == 1].astype(float).mean()
            differences.append(abs(inside - surface.image[surface.label == 0].mean()) / surface.image.std())
    assert 0.3 < np.mean(differences) < 1.5


def test_a_written_data_set_is_read_back_as_the_task_has_it(tmp_path, surfaces):
    config = load_task("21")
    write_dataset(tmp_path / config.dataset, Options(cases=4, size=64))
    dataset = load_dataset(tmp_path, config.dataset)
    assert dataset.labels == {0: "background", 1: "defect"}
    assert [case.name for case in dataset.training] == ["surface_0000", "surface_0001", "surface_0002"]
    case = dataset.training[1]
    np.testing.assert_array_equal(read_image(case.images).array[0, ..., 0], surfaces[1].image)
    np.testing.assert_array_equal(load_label(case.label)[0][0], surfaces[1].label)
    assert [each.name for each in find_images(tmp_path / config.dataset / "imagesTs", 1)] == ["surface_0003"]
    plan = make_plan(config, dataset, 2)
    assert (plan.outputs, plan.scored, plan.training.network) == (1, ("defect",), "tiny-unet")


def test_pictures_are_written_as_png(tmp_path, surfaces):
    write_surface(surfaces[1], tmp_path / "image.png", tmp_path / "label.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "image.png")), surfaces[1].image)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "label.png")), surfaces[1].label)


@pytest.mark.parametrize("words", [("--cases", "1"), ("--size", "8"), ("--defect-share", "2")])
def test_the_command_refuses_options_that_cannot_be(tmp_path, words):
    with pytest.raises(UserError):
        main(["--output", str(tmp_path / "x"), *words])
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_what_its_options_say(tmp_path, capsys):
    main(["--output", str(tmp_path / "Task21_Surface"), "--cases", "2", "--size", "32", "--defect-share", "1"])
    assert "2 pictures" in capsys.readouterr().out
    (case,) = load_dataset(tmp_path, "Task21_Surface").training
    assert load_label(case.label)[0].any()
