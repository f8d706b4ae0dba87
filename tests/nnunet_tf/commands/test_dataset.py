"""From a folder of one's own files to shards and a fold, by the commands."""

import json
import re
import shlex
from pathlib import Path

import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.description import Description, dataset_schema
from data_preprocessing.dataset.splits import StatedFold
from data_preprocessing.shards.format import Manifest
from nnunet_tf.commands import dataset, plan, preprocess, train, verify
from nnunet_tf.commands.options.launch import set_workers
from nnunet_tf.commands.parser import CommandParser
from nnunet_tf.commands.start import run_command
from tests.data import layouts

REPOSITORY = Path(__file__).parents[3]
CONFIG = """
task: "{number}"
dataset: {name}
patch_size_3d: [8, 16, 16]
spacing_3d: [2.5, 0.9, 0.8]
patch_size_2d: null
spacing_2d: null
features: [4, 8]
nonzero_mask: false
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command, line: str) -> None:
    run_command(command, shlex.split(line))


def write_config(name: str, number: str) -> None:
    Path("configs").mkdir(exist_ok=True)
    Path("configs", f"task{number}.yaml").write_text(CONFIG.format(name=name, number=number))


def job(line: str):
    """What train would do with these options."""
    parser = CommandParser("")
    train.add_options(parser)
    options = parser.parse(shlex.split(line))
    options.dim = 3
    set_workers(options)
    return train.make_job(options)


@pytest.mark.parametrize(
    ("layout", "line", "name"),
    [
        ("paired", "--images paired/scans --labels paired/masks", "Task100_Scans"),
        ("patients", "patients --image ct.nii.gz --label seg.nii.gz", "Task100_Patients"),
        (
            "channels",
            "channels --channel T1=*_t1.nii.gz --channel FLAIR=*_flair.nii.gz --label *_seg.nii.gz",
            "Task100_Channels",
        ),
        ("masks", "masks --image ct.nii.gz --masks segmentations", "Task100_Masks"),
        ("nnunet", "nnunet", "Task100_Nnunet"),
        ("monai", "monai/datalist.json", "Task100_Datalist"),
        ("table", "--table table/cases.csv", "Task100_Cases"),
        ("dicom", "dicom", "Task100_Dicom"),
    ],
)
def test_each_layout_takes_one_command_and_the_next_one_works(here, capsys, layout, line, name):
    layouts.LAYOUTS[layout](here / layout)
    run(dataset, line)
    printed = capsys.readouterr().out
    (after,) = re.findall(r"^next: nnunet-tf plan (.*)$", printed, re.MULTILINE)
    assert after.split()[:2] == ["--task", name]
    run(plan, after)
    assert (here / "configs" / "task100.yaml").is_file()
    Description.model_validate_json((here / "data" / name / "dataset.json").read_text())


def test_a_second_run_takes_no_second_number(here):
    layouts.per_patient(here / "mine")
    line = "mine --image ct.nii.gz --label seg.nii.gz"
    run(dataset, line)
    with pytest.raises(UserError, match="--overwrite"):
        run(dataset, line)
    run(dataset, line + " --overwrite")
    layouts.per_patient(here / "others")
    run(dataset, line.replace("mine", "others"))
    assert sorted(path.name for path in (here / "data").iterdir()) == ["Task100_Mine", "Task101_Others"]


def test_an_output_without_a_number_is_refused_before_anything_is_written(here):
    layouts.per_patient(here / "mine")
    with pytest.raises(UserError, match="out"):
        run(dataset, "mine --image ct.nii.gz --label seg.nii.gz --output out")
    assert not (here / "out").exists()


def test_a_data_set_without_a_config_is_verified(here, capsys):
    layouts.per_patient(here / "mine")
    run(dataset, "mine --image ct.nii.gz --label seg.nii.gz --output data/Task100_Mine")
    for path in sorted((here / "mine").glob("P*/ct.nii.gz")):
        path.write_bytes(b"")
    capsys.readouterr()
    with pytest.raises(UserError):
        run(verify, "--task Task100_Mine --json --nfolds 2")
    assert json.loads(capsys.readouterr().out)["errors"] == 4


def test_the_command_below_a_long_table_lists_all_files(here, capsys):
    layouts.per_patient(here / "mine", cases=8)
    run(dataset, "mine --image ct.nii.gz --label seg.nii.gz --output data/Task100_Mine")
    for path in sorted((here / "mine").glob("P*/ct.nii.gz")):
        path.write_bytes(b"")
    with pytest.raises(UserError):
        run(verify, "--task Task100_Mine")
    (words,) = re.findall(r"nnunet-tf verify (.*--json)", capsys.readouterr().out)
    with pytest.raises(UserError):
        run(verify, words)
    listed = json.loads(capsys.readouterr().out)["findings"]
    assert len({finding["file"] for finding in listed if finding["kind"] == "empty_file"}) == 8


def test_a_tables_patients_and_validation_reach_shards_and_training(here):
    layouts.table(here / "mine")
    run(dataset, "--table mine/cases.csv --output data/Task93_Mine")
    write_config("Task93_Mine", "93")
    run(preprocess, "--task 93 --dim 3")
    manifest = Manifest.model_validate_json((here / "shards" / "task93_3d" / "manifest.json").read_text())
    assert manifest.groups == {f"scan{index}": f"patient{index // 2}" for index in range(6)}
    assert manifest.splits == (StatedFold(train=("scan0", "scan1", "scan2", "scan3"), val=("scan4", "scan5")),)
    made = job("--task 93")
    assert made.fold.validation == ("scan4", "scan5")
    assert made.settings.folds == 1
    assert set(made.cases.validation) == {"scan4", "scan5"}
    with pytest.raises(UserError, match="--fold 1"):
        job("--task 93 --fold 1")


def test_groups_are_kept_together_where_no_split_is_stated(here):
    layouts.table(here / "mine")
    path = here / "mine" / "cases.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(";val", ";train"), encoding="utf-8")
    run(dataset, "--table mine/cases.csv --output data/Task93_Mine")
    write_config("Task93_Mine", "93")
    with pytest.raises(UserError):  # three patients
        run(preprocess, "--task 93 --dim 3")
    run(preprocess, "--task 93 --dim 3 --nfolds 3")
    for fold in range(3):
        first, second = job(f"--task 93 --nfolds 3 --fold {fold}").fold.validation
        assert int(first[-1]) // 2 == int(second[-1]) // 2


def test_splits_of_nnunet_are_taken_on_the_command_line(here, capsys):
    layouts.paired_names(here / "mine")
    run(dataset, "--images mine/scans --labels mine/masks --output data/Task93_Mine")
    write_config("Task93_Mine", "93")
    names = [f"scan_{index}" for index in range(1, 5)]
    splits = [{"train": names[:2], "val": names[2:]}, {"train": names[2:], "val": names[:1]}]
    Path("splits_final.json").write_text(json.dumps(splits))
    run(preprocess, "--task 93 --dim 3 --splits splits_final.json")
    assert job("--task 93 --fold 1").fold.validation == ("scan_1",)
    assert job("--task 93 --fold all").fold.training == tuple(names)
    Path("other.json").write_text(json.dumps([{"train": names[1:], "val": names[:1]}]))
    capsys.readouterr()
    assert job("--task 93 --splits other.json").fold.training == tuple(names[1:])
    with pytest.raises(UserError, match="--nfolds"):
        job("--task 93 --splits other.json --nfolds 3")
    Path("other.json").write_text(json.dumps([{"train": ["scan_9"], "val": names[:1]}]))
    for refused in (
        lambda: job("--task 93 --splits other.json"),
        lambda: run(preprocess, "--task 93 --splits other.json"),
    ):
        with pytest.raises(UserError, match=r"other\.json.*scan_9"):
            refused()


def test_the_schema_is_printed_and_holds_what_is_written(here, capsys):
    run(dataset, "--schema")
    assert json.loads(capsys.readouterr().out) == dataset_schema()
    jsonschema = pytest.importorskip("jsonschema")
    check = jsonschema.Draft202012Validator(dataset_schema())
    layouts.table(here / "mine")
    run(dataset, "--table mine/cases.csv --output data/Task93_Mine")
    content = json.loads((here / "data" / "Task93_Mine" / "dataset.json").read_text())
    check.validate(content)
    for key, value in (("training", ["a.nii.gz"]), ("modality", "CT"), ("labels", ["liver"]), ("modality", None)):
        wrong = {name: each for name, each in (content | {key: value}).items() if each is not None}
        assert not check.is_valid(wrong)


def test_the_example_in_the_docs_is_valid():
    text = (REPOSITORY / "docs" / "your-data.md").read_text()
    (example,) = re.findall(r"```json\n(\{.*?\n\})\n```", text, re.DOTALL)
    content = json.loads(example)
    Description.model_validate(content)
    assert set(Description.model_fields) - {"channel_names"} <= set(content)
