import pytest
import yaml

from data_preprocessing.common.task import load_task
from data_preprocessing.planning.config_writer import render_config, write_config
from data_preprocessing.planning.fingerprint import ChannelIntensities
from data_preprocessing.planning.planner import PlannedConfig, plan_config
from tests.data_preprocessing.fingerprints import make_case, make_fingerprint, same_cases
from tests.data_preprocessing.samples import make_dataset, refused

BRAIN = ((140, 171, 137), (1.0, 1.0, 1.0))
LUNG = ((252, 512, 512), (1.244979977607727, 0.78515625, 0.78515625))


def planned_of(fingerprint, memory=8.0) -> PlannedConfig:
    return plan_config(make_dataset(fingerprint.channels), fingerprint, "91", memory)


def line_of(planned, start) -> str:
    (line,) = [line for line in render_config(planned).splitlines() if line.strip().startswith(start)]
    return line


KINDS = {
    "MRI": same_cases(200, *BRAIN),
    "several channels": same_cases(200, *BRAIN, channels=("T1", "CT")),
    "CT": same_cases(60, *LUNG, channels=("CT",)),
    "two CT": same_cases(60, *LUNG, channels=("CT", "CT")),
    "anisotropic along x": same_cases(32, (320, 320, 20), (0.62, 0.62, 3.6)),
    "single slices": same_cases(30, (1, 512, 512), (0.5, 0.8, 0.8)),
    "odd spacing": same_cases(30, (50, 60, 70), (1e-5, 2e-5 / 3, 1e-5)),
    "odd numbers": make_fingerprint(
        [make_case()], ("CT",), [ChannelIntensities(mean=1e-7, std=1e-5, low=-1e20, high=123456789)]
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_written_config_loads_as_what_was_planned(tmp_path, kind):
    planned, path = planned_of(KINDS[kind]), tmp_path / "task91.yaml"
    write_config(path, planned)
    assert load_task(str(path)) == planned.config


@pytest.mark.parametrize("kind", KINDS)
def test_every_line_says_where_it_came_from(kind):
    for line in render_config(planned_of(KINDS[kind])).splitlines():
        before, mark, comment = line.partition("# ")
        assert mark
        assert len(comment) > 5
        assert not before or ":" in before


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_planned_is_stated_and_not_left_to_defaults(kind):
    stated = yaml.safe_load(render_config(planned_of(KINDS[kind])))
    assert {"task", "dataset", "spacing_3d", "patch_size_3d", "spacing_2d", "patch_size_2d"} < set(stated)
    assert {"topology_2d", "normalization", "ct", "nonzero_mask", "training"} < set(stated)
    assert ("topology_3d" in stated) == (kind != "single slices")


def test_a_patch_shrunk_by_the_memory_budget_says_so():
    assert "memory budget: shrunk from 160x192x160" in line_of(planned_of(KINDS["MRI"]), "patch_size_3d:")
    assert "memory budget" not in line_of(planned_of(KINDS["MRI"], memory=80), "patch_size_3d:")
    assert "up to the median size 140x171x137" in line_of(planned_of(KINDS["MRI"]), "patch_size_3d:")


def test_sizes_in_comments_are_in_the_order_of_the_file():
    line = line_of(planned_of(KINDS["anisotropic along x"]), "patch_size_3d:")
    assert line.startswith("patch_size_3d: [320, 256, 20] # voxels (z, y, x)")
    assert "median size 320x320x20" in line
    assert "shrunk from 320x320x20" in line


def test_the_batch_names_both_of_its_limits():
    line = line_of(planned_of(same_cases(200, (36, 50, 35), (1, 1, 1))), "batch_size_3d:")
    assert line.startswith("  batch_size_3d: 7 # memory budget: 8 GB hold 59;")
    assert "5% of the data set's voxels are 7" in line


def test_spacing_says_which_rule_gave_it():
    assert "fingerprint: median of 200 cases" in line_of(planned_of(KINDS["MRI"]), "spacing_3d:")
    assert "percentile" not in line_of(planned_of(KINDS["MRI"]), "spacing_3d:")
    thick = [make_case(str(index), (20, 320, 320), (3.0 + index, 0.6, 0.6)) for index in range(5)]
    assert "rule: along z, the coarsest by far, percentile 10" in line_of(
        planned_of(make_fingerprint(thick)), "spacing_3d:"
    )
    assert "across the slices" in line_of(planned_of(KINDS["single slices"]), "spacing_3d:")


def test_the_share_that_decides_on_the_mask_is_shown():
    fingerprint = make_fingerprint([make_case("a", (64, 64, 64), box_share=0.613)])
    line = line_of(planned_of(fingerprint), "nonzero_mask:")
    assert line.startswith("nonzero_mask: true # fingerprint: median of cropped / full voxels is 0.613;")


def test_a_low_resolution_stage_is_a_remark_only():
    assert "nnU-Net would add a low-resolution stage (cascade)" in render_config(planned_of(KINDS["CT"]))
    assert "low-resolution" not in render_config(planned_of(KINDS["anisotropic along x"]))


def test_the_memory_and_the_commands_are_at_the_head():
    head = render_config(planned_of(KINDS["MRI"], memory=24)).split("task:")[0]
    assert "24 GB" in head
    assert "#     python train.py --task 91\n" in head
    assert "#     python train.py --task 91\n" in render_config(planned_of(KINDS["single slices"]))


def test_odd_names_of_channels_and_folders_cannot_break_the_file(tmp_path):
    fingerprint = same_cases(5, *BRAIN, channels=("T1\nfeatures: [1]", "T2 # x", "\x85\u2028\x00"))
    dataset = make_dataset(fingerprint.channels)
    dataset = type(dataset)(tmp_path / "Task91: # x", dataset.channels, dataset.labels, ())
    planned, path = plan_config(dataset, fingerprint, "91"), tmp_path / "task91.yaml"
    write_config(path, planned)
    assert load_task(str(path)) == planned.config


def test_a_config_that_exists_is_not_overwritten(tmp_path):
    path = tmp_path / "task04.yaml"
    path.write_text("mine")
    with refused(path, "exists already"):
        write_config(path, planned_of(KINDS["MRI"]))
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_axes_that_are_not_mirrored_are_written_with_the_classes_they_would_confuse(tmp_path):
    labels = {0: "background", 1: "Left kidney", 2: "Right kidney"}
    planned = plan_config(make_dataset(labels=labels), same_cases(40, *BRAIN), "91")
    line = line_of(planned, "mirror_axes")
    assert line == "  mirror_axes: zy # rule: not along x, as Left kidney and Right kidney are told apart"
    write_config(tmp_path / "task.yaml", planned)
    assert load_task(str(tmp_path / "task.yaml")) == planned.config
