"""The spacing of a TIFF stack in a JSON file beside it."""

import json

import numpy as np
import pytest
import tifffile

from data_preprocessing.dataset.nnunet_raw import load_nnunet_raw
from data_preprocessing.dataset.scans import find_images
from data_preprocessing.images.image_file import read_header
from data_preprocessing.images.volume_io import read_image, read_label, write_label
from data_preprocessing.planning.fingerprint import collect
from tests.data_preprocessing.samples import refused

SPACING = [8.0, 1.3, 0.7]
RANDOM = np.random.default_rng(0)
SHAPE = (5, 8, 9)


def write(path, stack=None, spacing=SPACING, beside=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RANDOM.integers(1, 99, SHAPE, np.uint8) if stack is None else stack
    tifffile.imwrite(path, pixels, photometric="minisblack")
    if spacing is not None:
        path.with_name(beside or f"{path.stem}.json").write_text(json.dumps({"spacing": spacing, "other": 1}))
    return path


@pytest.mark.parametrize(
    ("name", "beside"), [("a.tif", "a.json"), ("a_0000.tif", "a.json"), ("a_0000.tiff", "a_0000.json")]
)
def test_the_spacing_is_that_of_the_file_beside(tmp_path, name, beside):
    path = write(tmp_path / name, beside=beside)
    assert read_image((path,)).spacing == tuple(SPACING)
    assert read_header(path).get_zooms() == pytest.approx(SPACING[::-1])
    (case,) = find_images(tmp_path, 1)
    assert {file.name for file in case.files} == {name, beside}


def test_the_file_beside_may_begin_with_the_mark_of_its_encoding(tmp_path):
    path = write(tmp_path / "a.tif", spacing=None)
    (tmp_path / "a.json").write_text(json.dumps({"spacing": SPACING}), encoding="utf-8-sig")
    assert read_image((path,)).spacing == tuple(SPACING)


def test_without_a_spacing_pixels_count_as_1(tmp_path):
    path = write(tmp_path / "a.tif", spacing=None)
    assert read_image((path,)).spacing == (1, 1, 1)
    (tmp_path / "a.json").write_text(json.dumps({"author": "me"}))
    assert read_image((path,)).spacing == (1, 1, 1)


def test_the_file_of_its_own_name_comes_first(tmp_path):
    path = write(tmp_path / "a_0001.tif")
    (tmp_path / "a.json").write_text(json.dumps({"spacing": [9, 9, 9]}))
    assert read_image((path,)).spacing == tuple(SPACING)


@pytest.mark.parametrize(
    "spacing", [[1, 2], [1, 2, 3, 4], [0, 1, 1], [-1, 1, 1], ["1", 1, 1], 3, None, [True, 1, 1], [float("nan"), 1, 1]]
)
def test_a_spacing_that_is_none_is_refused(tmp_path, spacing):
    path = write(tmp_path / "a.tif")
    (tmp_path / "a.json").write_text(json.dumps({"spacing": spacing}))
    with refused(tmp_path / "a.json", "spacing"):
        read_image((path,))


def test_a_file_beside_that_is_no_json_is_refused(tmp_path):
    path = write(tmp_path / "a.tif")
    (tmp_path / "a.json").write_text("{")
    with refused(tmp_path / "a.json"):
        read_image((path,))


def test_a_segmentation_states_the_spacing_of_its_scan(tmp_path):
    volume = read_image((write(tmp_path / "a_0000.tif", beside="a.json"),))
    labels = RANDOM.integers(0, 3, SHAPE, np.uint8)
    write_label(tmp_path / "out" / "a.tif", labels, volume.source)
    np.testing.assert_array_equal(read_label(tmp_path / "out" / "a.tif", volume), labels)
    assert json.loads((tmp_path / "out" / "a.json").read_text()) == {"spacing": SPACING}
    write_label(tmp_path / "a.tif", labels, volume.source)
    assert json.loads((tmp_path / "a.json").read_text()) == {"spacing": SPACING, "other": 1}
    volume = read_image((write(tmp_path / "plain" / "b.tif", spacing=None),))
    write_label(tmp_path / "out" / "b.tif", labels, volume.source)
    assert not (tmp_path / "out" / "b.json").exists()


def test_a_label_without_the_spacing_of_its_image_is_refused(tmp_path):
    volume = read_image((write(tmp_path / "a.tif"),))
    label = write(tmp_path / "labels" / "a.tif", np.ones(SHAPE, np.uint8), spacing=None)
    with refused(label):
        read_label(label, volume)


def raw_folder(folder):
    for name in "abcde":
        write(folder / "imagesTr" / f"{name}_0000.tif", beside=f"{name}.json")
        write(folder / "labelsTr" / f"{name}.tif", RANDOM.integers(0, 2, SHAPE, np.uint8))
    content = {"channel_names": {"0": "light"}, "labels": {"background": 0, "cell": 1}, "file_ending": ".tif"}
    (folder / "dataset.json").write_text(json.dumps(content | {"numTraining": 5}))
    return folder


def test_a_raw_folder_of_stacks_is_planned_by_their_spacing(tmp_path):
    dataset = load_nnunet_raw(raw_folder(tmp_path / "Dataset192_Cells"))
    assert [case.spacing for case in collect(dataset).cases] == [pytest.approx(SPACING)] * 5
    sources = {file.name for file in dataset.training[0].files}
    assert sources == {"a_0000.tif", "a.json", "a.tif"}
    assert len(dataset.training[0].files) == 4
