"""A plan that was damaged or edited by hand is refused when it is read, in a line that names file and field."""

import json
import math
import re

import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.planning.plan import PLAN_NAME, make_plan, read_plan
from tests.data_preprocessing.samples import make_config, make_dataset

REGIONS = {"whole": {"labels": [1, 2], "value": 1}, "core": {"labels": [2], "value": 2}}
CT = {"name": "ct", "low": -100.0, "high": 300.0, "mean": 50.0, "std": 20.0}

BROKEN = [
    ("format", 99),
    ("task", "four"),
    ("dim", 4),
    ("channels", []),
    ("normalization", [{"name": "z_score"}] * 2),
    ("classes", []),
    ("classes", ["background", "organ", "organ"]),
    ("label_values", [0, 1]),
    ("label_values", [0, -1, 2]),
    ("label_values", [0, 2, 2]),
    ("label_values", [1, 2, 3]),
    ("axis_order", [0, 0, 1]),
    ("axis_order", [1, 2, 3]),
    ("axis_order", [0, 1]),
    ("patch_size", [16, 16]),
    ("patch_size", [16, 16, 0]),
    ("patch_size", [16, 16, -16]),
    ("patch_size", [16, 16, 16, 16]),
    ("topology", {"patch": [16, 16, 15]}),
    ("spacing", [1.0, 1.0]),
    ("spacing", [0.0, 1.0, 1.0]),
    ("spacing", [-1.0, 1.0, 1.0]),
    ("spacing", [math.nan, 1.0, 1.0]),
    ("spacing", [math.inf, 1.0, 1.0]),
    ("normalization", []),
    ("normalization", [CT | {"std": 0.0}]),
    ("normalization", [CT | {"std": -1.0}]),
    ("normalization", [CT | {"low": 300.0}]),
    ("normalization", [CT | {"mean": math.nan}]),
    ("normalization", [{"name": "ct"}]),
    ("normalization", [{"name": "sharpen"}]),
    ("topology", {"strides": [[1, 1, 1]]}),
    ("topology", {"strides": []}),
    ("topology", {"strides": [[2, 2, 2], [2, 2, 2]]}),
    ("topology", {"strides": [[1, 1, 1], [2, 2, 0]]}),
    ("topology", {"strides": [[1, 1], [2, 2]]}),
    ("topology", {"kernels": [[3, 3, 3]]}),
    ("topology", {"kernels": [[3, 3, 3], [3, 3]]}),
    ("topology", {"kernels": [[3, 3, 3], [2, 3, 3]]}),
    ("topology", {"features": [4]}),
    ("topology", {"features": [4, 0]}),
    ("topology", {"blocks": 2}),
    ("training", {"epochs": 0}),
    ("unknown", 1),
    ("regions", [{"name": "whole", "classes": [], "value": 1}]),
    ("regions", [{"name": "whole", "classes": [0, 1], "value": 1}]),
    ("regions", [{"name": "whole", "classes": [1, 3], "value": 1}]),
    ("regions", [{"name": "whole", "classes": [1, 1], "value": 1}]),
    ("regions", [{"name": "whole", "classes": [1], "value": 0}]),
    ("regions", [{"name": "whole", "classes": [1], "value": 1}, {"name": "core", "classes": [2], "value": 1}]),
    ("regions", [{"name": "whole", "classes": [1], "value": 1}, {"name": "whole", "classes": [2], "value": 2}]),
]


def plan_content(**config):
    """The JSON of a plan of 16 x 16 x 16 voxels, two stages, one channel and three classes."""
    labels = {0: "background", 1: "organ", 2: "lesion"}
    topology = {"strides": [[1, 1, 1], [2, 2, 2]], "kernels": [[3, 3, 3]] * 2, "features": [4, 8]}
    stated = make_config(patch_size_3d=(16, 16, 16), topology_3d=topology, **config)
    return json.loads(make_plan(stated, make_dataset(labels=labels), 3).model_dump_json())


@pytest.mark.parametrize(("field", "value"), BROKEN)
def test_it_is_told_in_a_line_with_file_and_field(tmp_path, field, value):
    content = plan_content()
    if field == "topology" and "patch" in value:
        content["patch_size"] = value["patch"]
    elif isinstance(content.get(field), dict):
        content[field] |= value
    else:
        content[field] = value
    (tmp_path / PLAN_NAME).write_text(json.dumps(content))
    with pytest.raises(UserError) as refusal:
        read_plan(tmp_path, "copy it again")
    assert re.match(rf"{tmp_path / PLAN_NAME}: {field}\b.*; copy it again$", str(refusal.value)), refusal.value


def test_what_these_were_made_from_is_a_plan(tmp_path):
    for config in ({}, {"regions": REGIONS}):
        (tmp_path / PLAN_NAME).write_text(json.dumps(plan_content(**config)))
        assert read_plan(tmp_path, "copy it again").patch_size == (16, 16, 16)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}', "\x00\x01"])
def test_what_is_no_plan_at_all_is_a_line_too(tmp_path, text):
    (tmp_path / PLAN_NAME).write_text(text)
    with pytest.raises(UserError, match=f"^{tmp_path / PLAN_NAME}: .*; copy it again$"):
        read_plan(tmp_path, "copy it again")


def test_a_newer_format_is_told_even_where_it_has_other_fields(tmp_path):
    (tmp_path / PLAN_NAME).write_text(json.dumps(plan_content() | {"aaa": 1, "format": 99, "dim": "five"}))
    with pytest.raises(UserError, match="format: is 99"):
        read_plan(tmp_path, "copy it again")


def test_two_classes_of_one_name_in_a_data_set_are_a_line(tmp_path):
    dataset = make_dataset(labels={0: "background", 1: "organ", 2: "organ"})
    with pytest.raises(UserError, match="classes: 'organ'"):
        make_plan(make_config(), dataset, 3)
