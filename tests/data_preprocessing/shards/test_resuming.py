"""Preprocessing that is stopped and started again."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.dataset import load_dataset
from data_preprocessing.jobs.backend import Processes
from data_preprocessing.planning.plan import make_plan
from data_preprocessing.shards.format import check_config, image_path, open_shards
from data_preprocessing.shards.pipeline import preprocess
from tests.commands import ROOT, run_well


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.npy")}


@pytest.fixture
def stage(small_config, small_data, tmp_path):
    """Runs preprocessing into a folder of its own, under a config that may be changed; returns the folder."""

    def run(shard_type="float32", **changes):
        config = small_config.model_copy(update=changes)
        dataset = load_dataset(small_data, config.dataset)
        plan = make_plan(config, dataset, 3)
        assert not preprocess(config, dataset, plan, tmp_path / "shards", Processes(), shard_type).failures
        return tmp_path / "shards"

    return run


def test_a_second_run_redoes_nothing_and_changes_no_byte(stage):
    folder = stage()
    before, written = contents(folder), times(folder)
    stage()
    assert contents(folder) == before
    assert times(folder) == written


def test_only_a_missing_or_damaged_case_is_redone(stage):
    folder = stage()
    before, written = contents(folder), times(folder)
    image_path(folder, "phantom_002").unlink()
    image_path(folder, "phantom_004").write_bytes(b"cut off")
    stage()
    assert contents(folder) == before
    redone = {name for name, when in times(folder).items() if when != written[name]}
    assert {name[:11] for name in redone} == {"phantom_002", "phantom_004"}


def test_other_settings_redo_all_and_other_training_redoes_nothing(stage):
    folder = stage()
    written = times(folder)
    stage(patch_size_3d=(16, 16, 16))
    assert times(folder) == written
    stage(spacing_3d=(2.0, 1.5, 1.5))
    assert not set(times(folder).values()) & set(written.values())


def test_float16_takes_half_the_room_and_is_remembered(stage):
    folder = stage()
    size = image_path(folder, "phantom_000").stat().st_size
    stage("float16")
    assert image_path(folder, "phantom_000").stat().st_size < 0.51 * size
    assert open_shards(folder, "")[1].shard_type == "float16"


def test_an_image_that_was_replaced_is_redone(small_config, small_data, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(small_data, data)
    dataset = load_dataset(data, small_config.dataset)
    plan = make_plan(small_config, dataset, 3)
    folder = tmp_path / "shards"
    preprocess(small_config, dataset, plan, folder, Processes())
    before = contents(folder)
    shutil.copy(dataset.training[1].images[0], dataset.training[0].images[0])
    shutil.copy(dataset.training[1].label, dataset.training[0].label)
    preprocess(small_config, dataset, plan, folder, Processes())
    after = contents(folder)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {
        "phantom_000_x.npy",
        "phantom_000_y.npy",
        "phantom_000_f.npy",
        "phantom_000.json",
        "manifest.json",
    }


def test_shards_of_another_config_are_refused_with_what_differs(stage, small_config):
    folder = stage()
    _, manifest = open_shards(folder, "")
    check_config(folder, manifest, small_config, "")
    other = small_config.model_copy(update={"spacing_3d": (9.0, 1.5, 1.5)})
    with pytest.raises(UserError, match=r"spacing_3d is \(9.0, 1.5, 1.5\), was \(1.5, 1.5, 1.5\)"):
        check_config(folder, manifest, other, "")


def test_two_runs_do_not_write_into_one_folder(stage):
    import fcntl

    folder = stage()
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"another preprocess.py"):
            stage()
    assert (folder / "manifest.json").exists()


@pytest.mark.slow
def test_killed_at_any_moment_and_started_again_gives_the_same_bytes(small_config_file, small_data, tmp_path):
    options = ["--task", small_config_file, "--data", small_data, "--n-jobs", 2]
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    run_well("preprocess.py", *options, "--shards", undisturbed)
    command = [sys.executable, str(ROOT / "preprocess.py"), *map(str, options), "--shards", str(disturbed)]
    moment = random.Random(0)
    for _ in range(5):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(moment.uniform(0.6, 1.8))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    run_well("preprocess.py", *options, "--shards", disturbed)
    assert contents(disturbed / "task90_3d") == contents(undisturbed / "task90_3d")
    assert not [
        path for path in (disturbed / "task90_3d").iterdir() if path.name.startswith(".") and path.name != ".lock"
    ]
