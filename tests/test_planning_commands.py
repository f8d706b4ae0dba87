"""`preprocess.py` for data sets that nobody configured."""

import json
import shutil

import pytest

from tests.commands import ROOT, call, call_well, refused


@pytest.fixture
def planned_config():
    """Where `--plan` writes the config of task 97; removed again."""
    path = ROOT / "configs" / "task97.yaml"
    assert not path.exists()
    yield path
    path.unlink(missing_ok=True)


def test_a_data_set_nobody_configured_is_planned_and_preprocessed(small_data, planned_config, tmp_path):
    shutil.copytree(small_data / "Task90_Small", tmp_path / "Task97_Mine")
    places = ["--data", tmp_path, "--shards", tmp_path / "shards"]
    planned = call_well("preprocess.py", "--plan", "--task", "Task97_Mine", "--encoder", "residual", *places)
    assert str(planned_config.relative_to(ROOT)) in planned.out
    assert planned.out.endswith("then: python train.py --task 97 --encoder residual\n")
    call_well("preprocess.py", "--task", 97, *places, "--report", tmp_path / "sheet.png")
    plan = json.loads((tmp_path / "shards" / "task97_3d" / "plan.json").read_text())
    assert plan["dataset"] == "Task97_Mine"
    assert (tmp_path / "sheet.png").exists()
    refused(call("preprocess.py", "--plan", "--task", "Task97_Mine", *places), "task97.yaml")


def test_a_raw_folder_of_nnunet_is_planned_and_preprocessed(small_data, planned_config, tmp_path):
    source, raw = small_data / "Task90_Small", tmp_path / "Dataset097_Mine"
    for kind in ("imagesTr", "labelsTr"):
        (raw / kind).mkdir(parents=True)
        for path in (source / kind).iterdir():
            suffix = "_0000" if kind == "imagesTr" else ""
            shutil.copy(path, raw / kind / path.name.replace(".nii.gz", f"{suffix}.nii.gz"))
    description = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, "organ": 1, "lesion": 2}}
    (raw / "dataset.json").write_text(json.dumps({**description, "file_ending": ".nii.gz", "numTraining": 6}))
    places = ["--from-nnunet", raw, "--shards", tmp_path / "shards"]
    call_well("preprocess.py", "--plan", *places)
    call_well("preprocess.py", "--task", 97, "--data", tmp_path, "--shards", tmp_path / "shards")
    record = json.loads((tmp_path / "shards" / "task97_3d" / "phantom_000.json").read_text())
    assert set(record["sources"]) == {"imagesTr/phantom_000_0000.nii.gz", "labelsTr/phantom_000.nii.gz"}


def test_numbers_that_a_config_leaves_open_are_collected_and_printed(small_data, small_config_file, tmp_path):
    config = tmp_path / "open.yaml"
    text = small_config_file.read_text().replace("spacing_3d: [1.5, 1.5, 1.5]", "spacing_3d: null")
    config.write_text(text.replace("nonzero_mask: false", "nonzero_mask: null"))
    done = call_well("preprocess.py", "--task", config, "--data", small_data, "--shards", tmp_path / "shards")
    assert "spacing_3d, nonzero_mask" in done.out
    plan = json.loads((tmp_path / "shards" / "task90_3d" / "plan.json").read_text())
    assert plan["spacing"] != [1.5, 1.5, 1.5]
    assert (tmp_path / "shards" / "task90_fingerprint" / "fingerprint.json").exists()
