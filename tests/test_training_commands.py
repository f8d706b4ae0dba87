"""train.py from end to end: what is asked for in one command is done."""

import argparse
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.commands.train import make_job
from tests.commands import ROOT, call, call_well, refused, run_well
from tests.running import SHORT, losses


def under_mpirun(command):
    """Runs a command as two processes of mpirun do; returns their statuses, and what each said on both streams."""
    pipe, processes = subprocess.PIPE, []
    for rank in range(2):
        names = ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE")
        given = {f"OMPI_COMM_WORLD_{name}": str(each) for name, each in zip(names, (rank, 2) * 2, strict=True)}
        environment = os.environ | given
        processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True))
    said = [process.communicate(timeout=300) for process in processes]
    return [process.returncode for process in processes], said


def contents(home):
    """The bytes of all files below a folder, by path."""
    return {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_processes_that_mpirun_started_train_together_to_the_losses_of_one(base, tmp_path):
    pytest.importorskip("horovod", reason="Horovod is not installed: make setup")
    words = [*base, *SHORT, "--device", "cpu", "--augmentation", "none"]
    words += ["--learning-rate", 1e-3, "--scheduler", "none", "--warmup-steps", 0]
    command = [sys.executable, "train.py", *map(str, words), "--batch-size", "1", "--results", str(tmp_path)]
    statuses, said = under_mpirun(command)
    assert statuses == [0, 0], said
    model = tmp_path / "task90_3d" / "fold_0"
    assert f"Model in {model}" in said[0][0]
    assert said[1][0] == ""
    assert list(model.glob(".workers*")) == []
    before = contents(model)
    statuses, said = under_mpirun(command)  # again: refused by both before they meet
    assert statuses == [2, 2], said
    assert all("--overwrite" in err for _, err in said)
    assert contents(model) == before
    call_well("train.py", *words, "--batch-size", 2, "--results", tmp_path / "alone")
    alone = tmp_path / "alone" / "task90_3d" / "fold_0"
    np.testing.assert_allclose(losses(model), losses(alone), rtol=1e-4)


@pytest.mark.slow
def test_all_folds_are_trained_and_tabled_and_finished_ones_only_read_again(base, tmp_path):
    words = [*base, *SHORT, "--results", tmp_path, "--nfolds", 2]
    home = tmp_path / "task90_3d"
    call_well("train.py", *words)
    weights = (home / "fold_0" / "model.weights.h5").stat().st_mtime_ns
    done = run_well("train.py", *words, "--cross-validate", "--resume")
    assert "deviation" in done.out
    assert (home / "fold_0" / "model.weights.h5").stat().st_mtime_ns == weights
    assert (home / "fold_1" / "checkpoint.npz").exists()
    table = json.loads((home / "cross_validation.json").read_text())
    folds = [json.loads((home / f"fold_{fold}" / "validation.json").read_text()) for fold in range(2)]
    assert table["all_classes"]["folds"] == [fold["mean_dice"] for fold in folds]
    assert table["last"]["all_classes"]["folds"] == [fold["last"]["mean_dice"] for fold in folds]
    assert set(folds[0]["cases"]).isdisjoint(folds[1]["cases"])
    assert len(folds[0]["cases"]) + len(folds[1]["cases"]) == 6
    before = contents(home)
    refused(call("train.py", *words, "--cross-validate"), str(home / "fold_0"), "--overwrite")
    assert contents(home) == before


@pytest.mark.slow
def test_mixed_precision_is_float32_without_bfloat16_instructions_and_kept_on_resuming(base, tmp_path, monkeypatch):
    words = [*base, *SHORT, "--results", tmp_path, "--device", "cpu", "--amp"]
    model = tmp_path / "task90_3d" / "fold_0"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    notices = [line for line in call_well("train.py", *words).err.splitlines() if line.startswith("--amp: ")]
    assert len(notices) == 1
    assert recorded_precisions(model) == {"float32"}
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    assert "--resume: " not in call_well("train.py", *words, "--epochs", 2, "--resume").err
    assert recorded_precisions(model) == {"float32"}

    # As a run that began on a machine with the instructions.
    settings = json.loads((model / "training.json").read_text()) | {"precision": "mixed_bfloat16"}
    (model / "training.json").write_text(json.dumps(settings))
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    said = call_well("train.py", *words, "--epochs", 3, "--resume").err.splitlines()
    assert len([line for line in said if line.startswith("--resume: ")]) == 1
    assert recorded_precisions(model) == {"float32"}


def recorded_precisions(model):
    return {json.loads((model / name).read_text())["precision"] for name in ("training.json", "validation.json")}


def assert_can_be_looked_at(model):
    """Checks the pictures and curves of a validated run."""
    assert (model / "validation.png").read_bytes().startswith(b"\x89PNG")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(model / "tensorboard"))
    board.Reload()
    assert {"loss", "learning rate", "validation"} <= set(board.Tags()["tensors"])


@pytest.mark.slow
def test_a_model_of_all_cases_is_trained_from_the_weights_of_one_that_can_be_looked_at(base, small_data, tmp_path):
    call_well("train.py", *base, *SHORT, "--results", tmp_path)
    source = tmp_path / "task90_3d" / "fold_0"
    assert_can_be_looked_at(source)
    done = call_well("train.py", *base, *SHORT, "--results", tmp_path, "--fold", "all", "--pretrained", source)
    assert "Validation" not in done.out
    model = tmp_path / "task90_3d" / "fold_all"
    assert not (model / "validation.json").exists()
    places = ["--data", small_data, "--results", tmp_path]
    call_well("predict.py", "--task", base[1], "--fold", "all", "--checkpoint", "last", *places)
    assert len(list((model / "predictions").glob("*.nii.gz"))) == 2
    again = [*base, *SHORT, "--results", tmp_path, "--overwrite"]
    refused(call("train.py", *again, "--pretrained", tmp_path), "no trained model", "--pretrained")


@pytest.mark.slow
def test_training_stops_when_out_of_patience(base, tmp_path):
    # At such a learning rate validations get no better for long.
    words = [*base, "--results", tmp_path, "--epochs", 50, "--steps-per-epoch", 1, "--validate-every", 1]
    call_well("train.py", *words, "--patience", 1, "--learning-rate", 10)
    model = tmp_path / "task90_3d" / "fold_0"
    assert len((model / "metrics.jsonl").read_text().splitlines()) < 50


@pytest.mark.slow
def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_epoch(base, tmp_path):
    words = [*base, "--results", tmp_path, "--epochs", 1, "--steps-per-epoch", 2]
    call_well("train.py", *words)
    model = tmp_path / "task90_3d" / "fold_0"
    before = (model / "model.weights.h5").read_bytes()
    huge = ["--norm", "none", "--optimizer", "sgd", "--learning-rate", "1e30", "--warmup-steps", 0]
    done = call("train.py", *words, *huge, "--scheduler", "none", "--overwrite")
    assert done.status == 2
    assert "no longer a number" in done.err.splitlines()[-1]
    assert (model / "model.weights.h5").read_bytes() == before


def test_a_run_on_hosts_that_is_refused_leaves_no_folder_behind(base, tmp_path, monkeypatch):
    monkeypatch.setattr("nnunet_tf.launch.horovod.workers.find_spec", lambda name: None)
    words = [*base, "--results", tmp_path / "results", "--hosts", "a:1,b:1", "--device", "cpu"]
    refused(call("train.py", *words), "Horovod")
    assert not (tmp_path / "results").exists()


def test_where_only_the_other_shards_are_there_they_are_pointed_at(tmp_path):
    (tmp_path / "task20_2d").mkdir()
    options = argparse.Namespace(task="20", dim=3, shards=tmp_path, resume=False, overwrite=False)
    with pytest.raises(UserError, match="use --dim 2, whose shards are there, or run: "):
        make_job(options)
