import json

import numpy as np
import pytest
from PIL import Image

from data_preprocessing.dataset.dataset import read_labels
from data_preprocessing.dataset.open_dataset import open_dataset
from data_preprocessing.dataset.verify import check_dataset
from data_preprocessing.images.checks.finding import Row
from data_preprocessing.jobs.backend import Processes
from data_preprocessing.planning.fingerprint import collect
from data_preprocessing.planning.plan import make_plan
from data_preprocessing.shards.format import label_path
from data_preprocessing.shards.pipeline import preprocess_case
from tests.data_preprocessing.samples import make_config, refused

RANDOM = np.random.default_rng(0)
CASES = "abcde"


def write_pictures(folder, numbers=(0, 255), colours=False, **changes):
    """Writes a data set of five PNG images and labels of these numbers; returns its dataset.json."""
    for case in CASES:
        pixels = RANDOM.integers(1, 255, (16, 18), np.uint8)
        label = RANDOM.choice(np.array(numbers, np.uint8), (16, 18))
        for part, array in (("imagesTr", np.stack([pixels] * 3, axis=-1) if colours else pixels), ("labelsTr", label)):
            (folder / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(folder / part / f"{case}.png")
    content = {
        "modality": {"0": "EM"},
        "labels": {"0": "membrane", "1": "cell"},
        "file_ending": ".png",
        "training": [{"image": f"imagesTr/{case}.png", "label": f"labelsTr/{case}.png"} for case in CASES],
    }
    path = folder / "dataset.json"
    path.write_text(json.dumps(content | changes))
    return path


@pytest.mark.parametrize("values", [{"cell": 255}, {"1": 255}, {"membrane": 0, "cell": 255}, None])
def test_a_class_has_the_number_of_the_label_files(tmp_path, values):
    path = write_pictures(tmp_path, **({"values": values} if values else {}))  # without: 0 and 255 speak for themselves
    assert list(read_labels(path).items()) == [(0, "membrane"), (255, "cell")]


def test_classes_come_in_the_order_of_their_values(tmp_path):
    labels = {"0": "background", "1": "a", "2": "b", "3": "c"}
    path = write_pictures(tmp_path, labels=labels, values={"a": 200, "b": 100})
    assert list(read_labels(path).items()) == [(0, "background"), (3, "c"), (100, "b"), (200, "a")]


@pytest.mark.parametrize(
    ("numbers", "changes"),
    [
        ((0, 1), {}),
        ((0, 128, 255), {}),
        ((0, 0), {}),
        ((0, 255), {"labels": {"0": "background", "1": "a", "2": "b"}}),
        ((0, 255), {"training": "none"}),
    ],
)
def test_nothing_is_assumed_of_other_labels(tmp_path, numbers, changes):
    path = write_pictures(tmp_path, numbers, **changes)
    if changes.get("training"):
        (tmp_path / "labelsTr").rename(tmp_path / "elsewhere")
    assert list(read_labels(path)) == list(range(len(read_labels(path))))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"cell": "white"}, "values must map classes"),
        ({"cell": -1}, "values must map classes"),
        ([0, 255], "values must map classes"),
        ({"wall": 255}, "values has wall, which is no class"),
        ({"membrane": 255, "cell": 0}, "gives the background, membrane, the number 255"),
        ({"cell": 0}, "two classes of one number"),
    ],
)
def test_values_that_cannot_be_are_refused(tmp_path, values, problem):
    with refused(tmp_path / "dataset.json", problem):
        read_labels(write_pictures(tmp_path, values=values))


@pytest.mark.parametrize("colours", [False, True])
@pytest.mark.parametrize("raw", [False, True])
def test_a_data_set_of_pictures_becomes_shards(tmp_path, colours, raw):
    folder = tmp_path / "Task91_Tiny"
    path = write_pictures(folder, colours=colours)
    if raw:
        content = {"channel_names": {"0": "EM"}, "labels": {"membrane": 0, "cell": 1}, "file_ending": ".png"}
        path.write_text(json.dumps(content))
        for image in (folder / "imagesTr").iterdir():
            image.rename(image.with_name(f"{image.stem}_0000.png"))
    assert check_dataset(folder.name, 2, tmp_path, Processes()) == []
    dataset = open_dataset(tmp_path, folder.name)
    assert [case.spacing for case in collect(dataset).cases] == [(1, 1, 1)] * 5
    plan = make_plan(make_config(spacing_3d=(1.5, 1, 1)), dataset, 2)
    assert plan.label_values == (0, 255)
    (tmp_path / "shards").mkdir()
    preprocess_case(dataset.training[2], dataset, plan, tmp_path / "shards", "float32")
    with Image.open(folder / "labelsTr" / "c.png") as label:
        np.testing.assert_array_equal(np.load(label_path(tmp_path / "shards", "c"))[0, ..., 0], np.array(label) == 255)


def test_a_3d_network_for_pictures_is_one_error(tmp_path):
    path = write_pictures(tmp_path / "Task91_Tiny")
    (finding,) = check_dataset("Task91_Tiny", 3, tmp_path, Processes())
    assert (finding.row, finding.file, finding.remedy) == (Row.SINGLE_SLICE, str(path), "use --dim 2")


def test_what_is_wrong_with_pictures_is_all_told(tmp_path):
    folder = tmp_path / "Task91_Tiny"
    write_pictures(folder, values={"cell": 255})
    Image.fromarray(np.full((16, 18), 7, np.uint8)).save(folder / "labelsTr" / "a.png")
    Image.fromarray(np.zeros((16, 17), np.uint8)).save(folder / "labelsTr" / "b.png")
    Image.fromarray(RANDOM.integers(0, 255, (16, 18, 3), np.uint8)).save(folder / "imagesTr" / "c.png")
    (folder / "imagesTr" / "d.png").write_bytes((folder / "imagesTr" / "d.png").read_bytes()[:-20])
    Image.fromarray(np.full((16, 18), 9, np.uint8)).save(folder / "imagesTr" / "e.png")
    found = {(finding.case, finding.row) for finding in check_dataset(folder.name, 2, tmp_path, Processes())}
    assert found == {
        ("a", Row.UNDECLARED_LABEL),
        ("b", Row.LABEL_SHAPE),
        ("c", Row.CHANNEL_COUNT),
        ("d", Row.UNREADABLE),
        ("e", Row.CONSTANT),
    }
