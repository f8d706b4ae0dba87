"""Regions from dataset.json or a config to the plan."""

import hashlib
import json

import numpy as np
import pytest
import yaml

from data_preprocessing.common.task import StatedRegion, load_task
from data_preprocessing.dataset.dataset import read_labels, read_regions
from data_preprocessing.dataset.nnunet_raw import load_nnunet_raw
from data_preprocessing.planning.config_writer import render_config, write_config
from data_preprocessing.planning.fingerprint import collect
from data_preprocessing.planning.plan import PLAN_NAME, Region, make_plan, read_plan, write_plan
from data_preprocessing.planning.planner import plan_config
from data_preprocessing.shards.format import Manifest, check_config, shard_key
from tests.data_preprocessing.samples import make_config, make_dataset, refused, save

# As nnU-Net v2's documentation has the brain tumours.
LABELS = {"background": 0, "whole tumor": [1, 2, 3], "core": [2, 3], "enhancing": 3}
DESCRIPTION = {
    "channel_names": {"0": "FLAIR"},
    "labels": LABELS,
    "regions_class_order": [1, 2, 3],
    "numTraining": 1,
    "file_ending": ".nii.gz",
}
STATED = {
    "whole tumor": StatedRegion(labels=(1, 2, 3), value=1),
    "core": StatedRegion(labels=(2, 3), value=2),
    "enhancing": StatedRegion(labels=(3,), value=3),
}
NAMES = {0: "background", 1: "label 1", 2: "label 2", 3: "enhancing"}
CONFIG = """
task: "91"
dataset: Task91_Tiny
patch_size_3d: [8, 8, 8]
spacing_3d: [1, 1, 1]
patch_size_2d: [8, 8]
spacing_2d: [1, 1]
nonzero_mask: false
"""


def describe(folder, **changes):
    """Writes a dataset.json; returns its path."""
    path = folder / "dataset.json"
    path.write_text(json.dumps(DESCRIPTION | changes))
    return path


def write_raw(folder):
    """Writes a raw folder of nnU-Net v2 with one case; returns it."""
    random = np.random.default_rng(0)
    save(folder / "imagesTr" / "a_0000.nii.gz", random.integers(1, 99, (16, 18, 20), np.int16), np.eye(4))
    save(folder / "labelsTr" / "a.nii.gz", random.integers(0, 4, (16, 18, 20), np.uint8), np.eye(4))
    describe(folder)
    return folder


def config_of(tmp_path, regions):
    path = tmp_path / "mine.yaml"
    path.write_text(f"{CONFIG}regions: {regions}\n")
    return path


def plan_of(regions=None, labels=NAMES):
    return make_plan(make_config(regions=regions), make_dataset(labels=labels), 3)


def test_regions_of_nnunet_are_read_in_their_order_with_the_numbers_to_write(tmp_path):
    regions = read_regions(describe(tmp_path))
    assert list(regions.items()) == list(STATED.items())


def test_the_numbers_of_regions_are_the_labels(tmp_path):
    assert list(read_labels(describe(tmp_path)).items()) == list(NAMES.items())


def test_substructures_may_be_written_in_another_order_than_their_numbers(tmp_path):
    # The kidney tumours of KiTS 2023.
    labels = {"background": 0, "kidney": [1, 2, 3], "masses": [2, 3], "tumor": 2}
    path = describe(tmp_path, labels=labels, regions_class_order=[1, 3, 2])
    assert [region.value for region in read_regions(path).values()] == [1, 3, 2]
    assert read_labels(path) == {0: "background", 1: "label 1", 2: "tumor", 3: "label 3"}


def test_lists_of_one_number_alone_make_no_regions(tmp_path):
    path = describe(tmp_path, labels={"background": [0], "edema": [1], "core": 2})
    assert read_regions(path) is None
    assert read_labels(path) == {0: "background", 1: "edema", 2: "core"}


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"regions_class_order": None}, "regions_class_order must have 3 numbers.*whole tumor, core, enhancing"),
        ({"regions_class_order": [1, 2]}, "regions_class_order must have 3 numbers"),
        ({"regions_class_order": [1, 2, 2]}, "core and enhancing both have the value 2"),
        ({"regions_class_order": [1, 0, 3]}, "region core: .*greater than 0"),
        ({"labels": LABELS | {"core": [0, 2, 3]}}, "region core: .*greater than 0"),
    ],
)
def test_regions_that_do_not_fit_their_order_are_refused(tmp_path, changes, match):
    path = describe(tmp_path, **changes)
    with refused(path, match):
        read_regions(path)


@pytest.mark.parametrize("core", [[], [2, "three"], [[2, 3]], {"2": 3}])
def test_a_region_that_is_no_list_of_numbers_is_refused(tmp_path, core):
    path = describe(tmp_path, labels=LABELS | {"core": core})
    with refused(path, "labels must map numbers to names"):
        read_labels(path)


def test_a_raw_folder_with_regions_is_planned_with_them(tmp_path):
    dataset = load_nnunet_raw(write_raw(tmp_path / "Dataset091_Tiny"))
    assert (dataset.labels, dataset.regions) == (NAMES, STATED)
    planned = plan_config(dataset, collect(dataset), "91")
    path = tmp_path / "task91.yaml"
    write_config(path, planned)
    stated = yaml.safe_load(path.read_text())["regions"]
    assert list(stated) == ["whole tumor", "core", "enhancing"]
    assert stated["core"] == {"labels": [2, 3], "value": 2}
    config = load_task(str(path))
    assert config == planned.config
    assert make_plan(config, dataset, 3).regions == (
        Region(name="whole tumor", classes=(1, 2, 3), value=1),
        Region(name="core", classes=(2, 3), value=2),
        Region(name="enhancing", classes=(3,), value=3),
    )


def test_a_planned_config_without_regions_does_not_speak_of_them(tmp_path):
    folder = write_raw(tmp_path / "Dataset091_Tiny")
    describe(folder, labels={name: number for number, name in NAMES.items()})
    dataset = load_nnunet_raw(folder)
    assert "regions" not in render_config(plan_config(dataset, collect(dataset), "91"))


@pytest.mark.parametrize(
    ("regions", "match"),
    [
        ("{}", "regions: "),
        ("[1, 2]", "regions: "),
        ("{core: [2, 3]}", "regions.core"),
        ("{core: {labels: [2, 3]}}", "regions.core.value"),
        ("{core: {labels: [], value: 1}}", "regions.core.labels"),
        ("{core: {labels: [0, 2], value: 1}}", "regions.core.labels.0"),
        ("{core: {labels: [2], value: 0}}", "regions.core.value"),
        ("{core: {labels: [2], value: 1, order: 3}}", "regions.core.order"),
        ("{whole: {labels: [1, 2], value: 4}, core: {labels: [2], value: 4}}", "whole and core both have the value 4"),
    ],
)
def test_regions_that_cannot_be_are_refused_naming_config_and_region(tmp_path, regions, match):
    path = config_of(tmp_path, regions)
    with refused(path, match):
        load_task(str(path))


def test_a_region_of_unknown_labels_is_refused():
    with refused("task 91", r"region core: labels \[4, 7\] are not among those of Task91_Tiny, \[0, 1, 2, 3\]"):
        plan_of({"core": StatedRegion(labels=(7, 2, 4), value=2)})


def test_the_classes_of_a_region_are_indices_and_its_value_is_a_label_number():
    plan = plan_of(
        {"core": StatedRegion(labels=(4, 2, 2), value=9)}, {0: "background", 2: "necrosis", 3: "edema", 4: "enhancing"}
    )
    assert plan.regions == (Region(name="core", classes=(1, 3), value=9),)


def test_a_network_has_one_output_a_region_and_each_is_scored():
    plan = plan_of({name: STATED[name] for name in ("whole tumor", "core")})
    assert (plan.outputs, plan.scored) == (2, ("whole tumor", "core"))
    assert plan.classes == tuple(NAMES.values())


def test_without_regions_there_is_one_output_a_class_and_the_foreground_is_scored():
    plan = plan_of()
    assert (plan.regions, plan.outputs, plan.scored) == ((), 4, ("label 1", "label 2", "enhancing"))


def test_a_plan_with_regions_reads_back_as_it_was_written(tmp_path):
    write_plan(tmp_path, plan_of(STATED))
    assert read_plan(tmp_path, "mend it") == plan_of(STATED)


def test_a_plan_of_before_there_were_regions_is_one_without(tmp_path):
    content = json.loads(plan_of().model_dump_json())
    del content["regions"]
    (tmp_path / PLAN_NAME).write_text(json.dumps(content))
    assert read_plan(tmp_path, "mend it") == plan_of()


def test_shards_do_not_depend_on_regions_but_the_config_hash_does():
    without, with_regions = plan_of(), plan_of(STATED)
    other_order = plan_of(dict(reversed(STATED.items())))
    assert shard_key(with_regions, "float32") == shard_key(without, "float32")
    assert len({plan.config_hash for plan in (without, with_regions, other_order)}) == 3


def test_a_config_without_regions_for_nnunet_has_the_hash_of_before_there_was_a_choice():
    config = make_config()
    content = config.model_dump_json(exclude={"regions": True, "training": {"network", "mirror_axes"}})
    assert not any(name in content for name in ("regions", "network", "mirror_axes"))
    assert plan_of().config_hash == hashlib.sha256(content.encode()).hexdigest()[:16]
    tiny = config.model_copy(update={"training": config.training.model_copy(update={"network": "tiny-unet"})})
    assert make_plan(tiny, make_dataset(), 2).config_hash != make_plan(config, make_dataset(), 2).config_hash


def test_training_asks_for_the_plan_anew_where_only_the_order_of_regions_changed(tmp_path):
    made, reordered = (make_config(regions=regions) for regions in (STATED, dict(reversed(STATED.items()))))
    manifest = Manifest(config=made, config_hash="", shard_type="float32", versions={}, cases=[], files={})
    reread = Manifest.model_validate_json(manifest.model_dump_json())
    check_config(tmp_path, reread, made, "preprocess again")
    with refused(tmp_path, "regions is .*; preprocess again$"):
        check_config(tmp_path, reread, reordered, "preprocess again")
