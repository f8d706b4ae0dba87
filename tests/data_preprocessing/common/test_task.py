from pathlib import Path

import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.task import SHIPPED_CONFIGS, load_task
from tests.data_preprocessing.samples import refused

# As NVIDIA fixed them: 3D patch, 3D spacing, 2D patch, 2D spacing, CT clip low, high, mean, std.
DECATHLON = {
    "01": ("BrainTumour", (128, 128, 128), (1, 1, 1), (192, 160), (1, 1), None),
    "02": ("Heart", (80, 192, 160), (1.37, 1.25, 1.25), (320, 256), (1.25, 1.25), None),
    "03": (
        "Liver",
        (128, 128, 128),
        (1, 0.7676, 0.7676),
        (512, 512),
        (0.7676, 0.7676),
        (-17, 201, 99.4, 39.36),
    ),
    "04": ("Hippocampus", (40, 56, 40), (1, 1, 1), (56, 40), (1, 1), None),
    "05": ("Prostate", (20, 320, 256), (3.6, 0.62, 0.62), (320, 320), (0.62, 0.62), None),
    "06": (
        "Lung",
        (80, 192, 160),
        (1.24, 0.79, 0.79),
        (512, 512),
        (0.79, 0.79),
        (-1024, 325, -158.58, 324.7),
    ),
    "07": ("Pancreas", (40, 224, 224), (2.5, 0.8, 0.8), (512, 512), (0.8, 0.8), (-96, 215, 77.9, 75.4)),
    "08": ("HepaticVessel", (64, 192, 192), (1.5, 0.8, 0.8), (512, 512), (0.8, 0.8), (-3, 243, 104.37, 52.62)),
    "09": ("Spleen", (64, 192, 160), (1.6, 0.79, 0.79), (512, 512), (0.79, 0.79), (-41, 176, 99.29, 39.47)),
    "10": ("Colon", (56, 192, 160), (3, 0.78, 0.78), (512, 512), (0.78, 0.78), (-30, 165.82, 62.18, 32.65)),
}

VALID = """
task: "91"
dataset: Task91_Tiny
patch_size_3d: [8, 16, 24]
spacing_3d: [3, 1, 1.5]
patch_size_2d: [16, 24]
spacing_2d: [1, 1.5]
"""


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(VALID)
    return path


@pytest.mark.parametrize("task", DECATHLON)
def test_each_decathlon_config_equals_the_table(task):
    name, patch_3d, spacing_3d, patch_2d, spacing_2d, ct = DECATHLON[task]
    config = load_task(task)
    assert (config.task, config.dataset) == (task, f"Task{task}_{name}")
    assert (config.patch_size_3d, config.spacing_3d) == (patch_3d, spacing_3d)
    assert (config.patch_size_2d, config.spacing_2d) == (patch_2d, spacing_2d)
    numbers = config.ct and (config.ct.low, config.ct.high, config.ct.mean, config.ct.std)
    assert numbers == ct


@pytest.mark.parametrize("path", sorted(SHIPPED_CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_each_shipped_config_is_found_under_its_own_number(path):
    assert path.name == f"task{load_task(str(path)).task}.yaml"


@pytest.mark.parametrize("task", ["4", "04", "004"])
def test_a_task_number_needs_no_leading_zero(task):
    assert load_task(task).dataset == "Task04_Hippocampus"


def test_an_unknown_task_number_names_the_choices():
    choices = ", ".join(["00", *DECATHLON, "20", "21"])
    with refused("--task 77", f"choose one of {choices}"):
        load_task("77")


def test_a_word_that_is_neither_number_nor_file_is_refused():
    with refused("--task hippocampus", "neither a task number nor an existing file"):
        load_task("hippocampus")


def test_a_folder_is_not_a_config(tmp_path):
    with refused(tmp_path, "neither a task number nor an existing file"):
        load_task(str(tmp_path))


def test_the_path_of_a_config_file_works(config_file):
    config = load_task(str(config_file))
    assert (config.dataset, config.patch_size_3d, config.spacing_3d) == ("Task91_Tiny", (8, 16, 24), (3.0, 1.0, 1.5))


def test_what_a_config_leaves_out_has_defaults(config_file):
    config = load_task(str(config_file))
    assert (config.ct, config.normalization, config.nonzero_mask, config.features) == (None, None, None, None)
    assert (config.training.batch_size(3), config.training.batch_size(2)) == (2, 64)
    assert config.training.mirror_axes == "zyx"


@pytest.mark.parametrize("stated", ["xw", "''", "nonez"])
def test_other_axes_to_mirror_are_refused_in_our_own_words(config_file, stated):
    config_file.write_text(f"{VALID}training: {{mirror_axes: {stated}}}\n")
    with refused(
        config_file, f": training.mirror_axes: '{stated.strip(chr(39))}' is neither none nor made of the axes"
    ):
        load_task(str(config_file))


@pytest.mark.parametrize(("stated", "axes"), [("y", "y"), ("xz", "zx"), ("none", "none")])
def test_the_axes_to_mirror_are_letters_in_any_order(config_file, stated, axes):
    config_file.write_text(f"{VALID}training: {{mirror_axes: {stated}}}\n")
    assert load_task(str(config_file)).training.mirror_axes == axes


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("spacing_3D: [1, 1, 1]", "spacing_3D"),
        ("nonzero_masks: true", "nonzero_masks"),
        ("features: []", "features"),
        ("features: [16, 0]", "features"),
        ("training: {epoch: 3}", "training.epoch"),
        ("ct: {low: 0, high: 1, mean: 0.5, deviation: 1}", "ct"),
    ],
)
def test_a_misspelt_or_empty_field_is_named(config_file, line, field):
    config_file.write_text(VALID + line + "\n")
    with refused(config_file, field):
        load_task(str(config_file))


@pytest.mark.parametrize("field", ["task", "dataset", "patch_size_3d", "spacing_3d", "patch_size_2d", "spacing_2d"])
def test_a_missing_field_is_named(config_file, field):
    kept = [line for line in VALID.splitlines() if not line.startswith(f"{field}:")]
    config_file.write_text("\n".join(kept))
    with refused(config_file, field):
        load_task(str(config_file))


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("[8, 16, 24]", "[8, 16]", "patch_size_3d"),
        ("[8, 16, 24]", "[8, 16, 0]", "patch_size_3d"),
        ("[8, 16, 24]", "[8, 16, 24.5]", "patch_size_3d"),
        ("[3, 1, 1.5]", "[3, -1, 1.5]", "spacing_3d"),
        ("[3, 1, 1.5]", "[3, one, 1.5]", "spacing_3d"),
        ("[3, 1, 1.5]", "[3, .nan, 1.5]", "spacing_3d"),
        ("[3, 1, 1.5]", "[3, .inf, 1.5]", "spacing_3d"),
        ('"91"', "91", "task"),
        ('"91"', '"9"', "task"),
        ('"91"', '"../91"', "task"),
        ("Task91_Tiny", '""', "dataset"),
    ],
)
def test_a_value_that_cannot_be_is_refused_naming_the_field(config_file, old, new, match):
    config_file.write_text(VALID.replace(old, new))
    with refused(config_file, match):
        load_task(str(config_file))


@pytest.mark.parametrize(
    "ct",
    [
        "{low: 5, high: 5, mean: 0, std: 1}",
        "{low: 6, high: 5, mean: 0, std: 1}",
        "{low: 0, high: 5, mean: 1, std: 0}",
        "{low: 0, high: 5, mean: .nan, std: 1}",
    ],
)
def test_ct_statistics_that_cannot_be_are_refused(config_file, ct):
    config_file.write_text(f"{VALID}ct: {ct}\n")
    with refused(config_file, "ct"):
        load_task(str(config_file))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"- a\n- list\n",
        b"just words",
        b"task: [1, 2\n  dataset: {",
        b"task: \t- x: [",
        b"\x00\x01\x02",
        b"\xff\xfe\xfd",
        b"task: 2024-13-45\n",
        b"task: !!python/object:os.system {}\n",
    ],
)
def test_a_file_that_is_no_config_is_refused_in_one_line(config_file, content):
    config_file.write_bytes(content)
    with refused(config_file):
        load_task(str(config_file))


def test_a_config_cannot_be_changed_after_loading(config_file):
    config = load_task(str(config_file))
    with pytest.raises(ValueError, match="frozen"):
        config.dataset = "other"


def test_a_refused_config_says_where_to_look():
    with pytest.raises(UserError, match="give a number or a config file's path"):
        load_task("no/such.yaml")
