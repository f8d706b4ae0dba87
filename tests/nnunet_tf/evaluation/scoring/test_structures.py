import json

import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.task import StatedRegion
from data_preprocessing.planning.plan import make_plan, write_plan
from nnunet_tf.evaluation.scoring.structures import (
    Structure,
    class_names,
    class_structures,
    comparable_names,
    find_structures,
    region_structures,
)
from tests.data_preprocessing.samples import make_config, make_dataset

LABELS = {0: "background", 1: "edema", 2: "necrosis", 4: "enhancing"}
BRATS = {"whole": (1, 2, 4), "core": (2, 4), "enhancing": (4,)}


def plan_of(regions=None, values=(1, 2, 4)):
    stated = regions and {
        name: StatedRegion(labels=labels, value=value)
        for (name, labels), value in zip(regions.items(), values, strict=False)
    }
    return make_plan(make_config(regions=stated), make_dataset(labels=LABELS), 3)


def test_a_nested_region_is_its_own_value_and_those_of_the_regions_inside():
    found = region_structures(plan_of(BRATS))
    assert found.scored == (
        Structure("whole", 1, (1, 2, 4), (1, 2, 4)),
        Structure("core", 2, (2, 4), (2, 4)),
        Structure("enhancing", 4, (4,), (4,)),
    )
    assert found.true == LABELS


def test_regions_are_recovered_from_what_is_painted():
    plan = plan_of({"whole": (1, 2, 4), "rim": (1,), "enhancing": (4,)}, values=(9, 5, 3))
    truth = np.array([0, 1, 2, 4])
    painted = np.zeros(4, int)
    for region in plan.regions:
        painted[np.isin(truth, [plan.label_values[index] for index in region.classes])] = region.value
    for structure in region_structures(plan).scored:
        np.testing.assert_array_equal(np.isin(painted, structure.predicted), np.isin(truth, structure.true))


@pytest.mark.parametrize(
    "regions",
    [{"a": (1, 2), "b": (2, 4)}, {"inner": (4,), "outer": (2, 4)}],
    ids=["partly overlapping", "written over"],
)
def test_regions_that_painting_does_not_tell_apart_are_not_scored_as_such(regions):
    assert region_structures(plan_of(regions)) is None


def test_regions_come_before_the_classes_of_the_data_set(tmp_path):
    labels, predictions = tmp_path / "data" / "labelsTs", tmp_path / "model" / "predictions"
    labels.mkdir(parents=True)
    predictions.mkdir(parents=True)
    assert find_structures(predictions, labels) is None
    write_plan(tmp_path / "model", plan_of())
    assert [each.name for each in find_structures(predictions, labels).scored] == ["edema", "necrosis", "enhancing"]
    named = {str(number): f"{name}!" for number, name in LABELS.items()}
    (tmp_path / "data" / "dataset.json").write_text(json.dumps({"labels": named}))
    assert [each.name for each in find_structures(predictions, labels).scored] == ["edema!", "necrosis!", "enhancing!"]
    write_plan(tmp_path / "model", plan_of(BRATS))
    assert [each.name for each in find_structures(predictions, labels).scored] == ["whole", "core", "enhancing"]


def test_the_background_is_no_structure():
    assert class_structures({0: "background", 7: "liver"}).scored == (Structure("liver", 7, (7,), (7,)),)


def test_region_values_are_comparable_where_each_is_the_label_of_what_it_adds():
    assert comparable_names(plan_of()) == {1: "edema", 2: "necrosis", 4: "enhancing"}
    assert comparable_names(plan_of(BRATS)) == {1: "whole", 2: "core", 4: "enhancing"}
    with pytest.raises(UserError, match="region whole: its value 3"):
        comparable_names(plan_of(BRATS, values=(3, 2, 4)))


def test_a_link_to_a_folder_of_labels_has_the_names_beside_it(tmp_path):
    (tmp_path / "store" / "labels").mkdir(parents=True)
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "labelsTr").symlink_to("../store/labels")
    for home, name in (("task", "beside"), ("store", "behind")):
        (tmp_path / home / "dataset.json").write_text(json.dumps({"labels": {"0": "background", "1": name}}))
    assert class_names(tmp_path, tmp_path / "task" / "labelsTr")[1] == "beside"
    (tmp_path / "task" / "dataset.json").unlink()
    assert class_names(tmp_path, tmp_path / "task" / "labelsTr")[1] == "behind"
