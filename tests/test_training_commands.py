"""train.py from end to end: what is stopped goes on exactly, what is asked for in one command is done."""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest

import train
from data_preprocessing.errors import UserError
from tests.commands import ROOT, refused, run, run_well
from train import make_job

SHORT = ["--epochs", 1, "--steps-per-epoch", 2]


@pytest.fixture(scope="module")
def base(small_config_file, small_shards):
    return ["--task", small_config_file, "--shards", small_shards]


def start(*words):
    """Starts train.py and does not wait; its standard error is the process's own attribute."""
    command = [sys.executable, str(ROOT / "train.py"), *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def wait_for_epochs(process, model, count, timeout=300):
    """Waits until so many epochs are finished, checkpoint included."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        if (model / "checkpoint.npz").exists() and int(np.load(model / "checkpoint.npz")["epochs_done"]) >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"no {count} epochs in {timeout} s")


def worker(process, rank):
    """The process of the worker that was started with this rank."""
    children = psutil.Process(process.pid).children(recursive=True)
    return next(
        child
        for child in children
        if child.name().startswith("python") and child.environ().get("HOROVOD_RANK") == str(rank)
    )


def losses(model):
    return [json.loads(line)["loss"] for line in (model / "metrics.jsonl").read_text().splitlines()]


def arrays(path):
    with np.load(path) as content:
        return {name: content[name] for name in content.files}


KILLED_IN_STEP_18 = """
import os, signal, sys
from nnunet_tf.runtime import command_line

steps = 0

def raise_if_stopped():
    global steps
    steps += sys._getframe(1).f_code.co_name == "train_epoch"
    if steps == 18:
        os.kill(os.getpid(), signal.SIGKILL)

command_line.raise_if_stopped = raise_if_stopped
import train
train.main()
"""


def test_a_killed_and_resumed_run_ends_with_the_very_weights_of_an_undisturbed_one(base, tmp_path):
    words = [*base, "--amp", "--deep-supervision", "--ema", 0.9, "--epochs", 3, "--steps-per-epoch", 12]
    words += ["--validate-every", 1]
    run_well("train.py", *words, "--results", tmp_path / "whole")
    killed = tmp_path / "killed" / "task90_3d" / "fold_0"
    command = [sys.executable, "-c", KILLED_IN_STEP_18, *words, "--results", tmp_path / "killed"]
    done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert int(np.load(killed / "checkpoint.npz")["epochs_done"]) == 1
    run_well("train.py", *words, "--results", tmp_path / "killed", "--resume")
    whole = tmp_path / "whole" / "task90_3d" / "fold_0"
    one, other = arrays(whole / "checkpoint.npz"), arrays(killed / "checkpoint.npz")
    assert one.keys() == other.keys()
    assert any(name.startswith("average/") for name in one)
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)
    assert [path.name for path in sorted(killed.glob(".*.*.*"))] == []  # what the kill left half written is gone
    assert losses(whole) == losses(killed)


def test_a_scheduler_that_ends_the_run_leaves_the_last_finished_epoch(base, small_data, tmp_path):
    process = start(*base, "--results", tmp_path, "--epochs", 500, "--steps-per-epoch", 2)
    model = tmp_path / "task90_3d" / "fold_0"
    wait_for_epochs(process, model, 1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert f"{model} keeps the last finished epoch, go on with --resume" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert list(model.glob(".*.*.*")) == []
    scans = small_data / "Task90_Small" / "imagesTs"
    run_well("predict.py", "--model", model, "--input", scans, "--output", tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 2


def end(process, number):
    """Sends a signal as a user does, Ctrl-C to all processes of the terminal, and returns the lines said since.

    Checks that no process is left.
    """
    children = psutil.Process(process.pid).children(recursive=True)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    try:
        _, said = process.communicate(timeout=60)  # until the last of them has closed its standard error
    finally:
        left = [child for child in psutil.wait_procs(children, timeout=10)[1] if not is_zombie(child)]
        for child in left:
            child.kill()
    assert left == []
    assert "Traceback" not in said, said
    return said.splitlines()


def is_zombie(process):
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def epochs_done(model):
    with np.load(model / "checkpoint.npz") as saved:
        return int(saved["epochs_done"])


STOPS = pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])


@STOPS
def test_several_workers_are_stopped_together_and_leave_the_last_finished_epoch(base, tmp_path, number, status):
    pytest.importorskip("horovod", reason="Horovod is not installed: make setup")
    words = [*base, "--results", tmp_path, "--device", "cpu", "--gpus", 2, "--epochs", 500, "--steps-per-epoch", 2]
    process = start(*words, "--validate-every", 0)
    model = tmp_path / "task90_3d" / "fold_0"
    wait_for_epochs(process, model, 1)
    said = end(process, number)
    assert process.returncode == status
    assert said[-1] == f"train.py: stopped; {model} keeps the last finished epoch, go on with --resume"
    assert epochs_done(model) >= 1
    assert list(model.glob(".*.*.*")) == []


@STOPS
def test_a_cross_validation_is_stopped_with_its_workers_and_says_how_it_goes_on(base, tmp_path, number, status):
    pytest.importorskip("horovod", reason="Horovod is not installed: make setup")
    words = [*base, "--results", tmp_path, "--device", "cpu", "--nfolds", 2, "--cross-validate", "--resume"]
    words += ["--epochs", 500, "--steps-per-epoch", 2, "--validate-every", 0]
    home = tmp_path / "task90_3d"
    process = start(*words, "--gpus", 2)
    wait_for_epochs(process, home / "fold_0", 1)
    said = end(process, number)
    assert process.returncode == status
    assert said[-2:] == [
        f"train.py: stopped; {home / 'fold_0'} keeps the last finished epoch, go on with --resume",
        "train.py: stopped; what the folds have finished is kept, go on with --cross-validate --resume",
    ]
    assert epochs_done(home / "fold_0") >= 1
    assert list(home.rglob(".*.*.*")) == []


def test_two_runs_do_not_write_into_one_folder(base, tmp_path):
    process = start(*base, "--results", tmp_path, "--epochs", 500, "--steps-per-epoch", 2)
    model = tmp_path / "task90_3d" / "fold_0"
    wait_for_epochs(process, model, 1)
    refused(run("train.py", *base, *SHORT, "--results", tmp_path), str(model), "another train.py")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130


def test_a_killed_worker_ends_the_run_and_resume_goes_on_to_the_losses_of_one_worker(base, tmp_path):
    pytest.importorskip("horovod", reason="Horovod is not installed: make setup")
    words = [*base, "--results", tmp_path, "--device", "cpu", "--steps-per-epoch", 2, "--validate-every", 0]
    # The voxels of noise are each worker's own, and neither rate nor warm-up is to depend on how far the run gets.
    words += ["--augmentation", "none", "--learning-rate", 1e-3, "--scheduler", "none", "--warmup-steps", 0]
    process = start(*words, "--batch-size", 1, "--gpus", 2, "--epochs", 500)
    model = tmp_path / "task90_3d" / "fold_0"
    wait_for_epochs(process, model, 1)
    worker(process, 1).kill()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "worker 1 was killed (signal 9)" in said.splitlines()[-1]
    epochs = int(np.load(model / "checkpoint.npz")["epochs_done"]) + 1
    settings = model / "training.json"
    settings.write_text(settings.read_text().replace('"epochs": 500', f'"epochs": {epochs}'))
    run_well("train.py", *words, "--batch-size", 1, "--gpus", 2, "--epochs", epochs, "--resume")
    run_well("train.py", *words, "--batch-size", 2, "--epochs", epochs, "--results", tmp_path / "alone")
    curve = losses(model)
    assert len(curve) == epochs
    np.testing.assert_allclose(curve, losses(tmp_path / "alone" / "task90_3d" / "fold_0"), rtol=1e-4)


def test_processes_that_mpirun_started_train_together_to_the_losses_of_one(base, tmp_path):
    pytest.importorskip("horovod", reason="Horovod is not installed: make setup")
    words = [*base, *SHORT, "--device", "cpu", "--augmentation", "none"]
    words += ["--learning-rate", 1e-3, "--scheduler", "none", "--warmup-steps", 0]
    command = [sys.executable, "train.py", *map(str, words), "--batch-size", "1", "--results", str(tmp_path)]
    pipe, processes = subprocess.PIPE, []
    for rank in range(2):
        names = ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE")
        given = {f"OMPI_COMM_WORLD_{name}": str(each) for name, each in zip(names, (rank, 2) * 2, strict=True)}
        environment = os.environ | given
        processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True))
    said = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    model = tmp_path / "task90_3d" / "fold_0"
    assert f"Model in {model}" in said[0][0]
    assert said[1][0] == ""
    assert list(model.glob(".workers*")) == []
    run_well("train.py", *words, "--batch-size", 2, "--results", tmp_path / "alone")
    alone = tmp_path / "alone" / "task90_3d" / "fold_0"
    np.testing.assert_allclose(losses(model), losses(alone), rtol=1e-4)


def test_an_elastic_run_goes_on_without_a_killed_worker_and_takes_in_a_new_one(base, tmp_path):
    pytest.importorskip("horovod", reason="Horovod is not installed: make setup")
    machines, script = tmp_path / "machines", tmp_path / "discover.sh"
    machines.write_text("localhost:2\n")
    script.write_text(f"#!/bin/sh\ncat {machines}\n")
    script.chmod(0o755)
    words = [*base, "--results", tmp_path, "--device", "cpu", "--batch-size", 1, "--validate-every", 0]
    words += ["--epochs", 5000, "--steps-per-epoch", 25, "--scheduler", "none", "--warmup-steps", 0]
    words += ["--gpus", 2, "--elastic", "--host-discovery", script]
    process = start(*words)
    model = tmp_path / "task90_3d" / "fold_0"
    watchdog = threading.Timer(300, process.kill)
    watchdog.start()
    try:
        wait_for_epochs(process, model, 2)
        worker(process, 0).kill()  # the one that writes the files
        said = read_until(process.stdout, "Going on with 1 worker ")
        assert "worker 0 was killed (signal 9)" in said
        wait_for_epochs(process, model, int(said.split()[-1]))
        machines.write_text("localhost:3\n")
        said = read_until(process.stdout, "Going on with 2 workers")
        wait_for_epochs(process, model, int(said.split()[-1]) + 2)
        process.terminate()
        _, said = process.communicate(timeout=60)
    finally:
        watchdog.cancel()
    assert process.returncode == 143
    assert f"{model} keeps the last finished epoch" in said.splitlines()[-1]
    history = [json.loads(line) for line in (model / "metrics.jsonl").read_text().splitlines()]
    assert [each["epoch"] for each in history] == list(range(len(history)))
    assert np.isfinite([each["loss"] for each in history]).all()
    rate = history[0]["learning_rate"]
    rates = {round(each["learning_rate"] / rate, 4) for each in history}
    assert rates == {1.0, 0.7071}  # AdamW's follows the root of the number of workers


def read_until(stream, words):
    """Returns what a stream says until a line that begins with `words`, that line included."""
    said = ""
    for line in stream:
        said += line
        if line.startswith(words):
            return said
    raise AssertionError(said)


def test_all_folds_are_trained_and_tabled_and_finished_ones_only_read_again(base, tmp_path):
    words = [*base, *SHORT, "--results", tmp_path, "--nfolds", 2, "--cross-validate"]
    done = run_well("train.py", *words)
    assert "deviation" in done.out
    home = tmp_path / "task90_3d"
    table = json.loads((home / "cross_validation.json").read_text())
    folds = [json.loads((home / f"fold_{fold}" / "validation.json").read_text()) for fold in range(2)]
    assert table["all_classes"]["folds"] == [fold["mean_dice"] for fold in folds]
    assert set(folds[0]["cases"]).isdisjoint(folds[1]["cases"])
    assert len(folds[0]["cases"]) + len(folds[1]["cases"]) == 6
    weights = (home / "fold_0" / "model.weights.h5").stat().st_mtime_ns
    (home / "fold_1" / "checkpoint.npz").unlink()  # as if it had been stopped before its first epoch
    run_well("train.py", *words, "--resume")
    assert (home / "fold_0" / "model.weights.h5").stat().st_mtime_ns == weights
    assert (home / "fold_1" / "checkpoint.npz").exists()


def test_a_model_of_all_cases_is_trained_from_another_ones_weights(base, small_data, tmp_path):
    run_well("train.py", *base, *SHORT, "--results", tmp_path)
    source = tmp_path / "task90_3d" / "fold_0"
    done = run_well("train.py", *base, *SHORT, "--results", tmp_path, "--fold", "all", "--pretrained", source)
    assert "Validation" not in done.out
    model = tmp_path / "task90_3d" / "fold_all"
    assert not (model / "validation.json").exists()
    places = ["--data", small_data, "--results", tmp_path]
    run_well("predict.py", "--task", base[1], "--fold", "all", "--checkpoint", "last", *places)
    assert len(list((model / "predictions").iterdir())) == 2
    refused(run("train.py", *base, *SHORT, "--results", tmp_path, "--pretrained", tmp_path), "no trained model")


def test_training_stops_when_out_of_patience(base, tmp_path):
    # At such a learning rate validations get no better for long.
    words = [*base, "--results", tmp_path, "--epochs", 50, "--steps-per-epoch", 1, "--validate-every", 1]
    run_well("train.py", *words, "--patience", 1, "--learning-rate", 10)
    model = tmp_path / "task90_3d" / "fold_0"
    assert len((model / "metrics.jsonl").read_text().splitlines()) < 50


def test_a_validated_run_can_be_looked_at(base, tmp_path):
    run_well("train.py", *base, *SHORT, "--results", tmp_path)
    model = tmp_path / "task90_3d" / "fold_0"
    assert (model / "validation.png").read_bytes().startswith(b"\x89PNG")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(model / "tensorboard"))
    board.Reload()
    assert {"loss", "learning rate", "validation"} <= set(board.Tags()["tensors"])


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_epoch(base, tmp_path):
    words = [*base, "--results", tmp_path, "--epochs", 1, "--steps-per-epoch", 2]
    run_well("train.py", *words)
    model = tmp_path / "task90_3d" / "fold_0"
    before = (model / "model.weights.h5").read_bytes()
    huge = ["--norm", "none", "--optimizer", "sgd", "--learning-rate", "1e30", "--warmup-steps", 0]
    done = run("train.py", *words, *huge, "--scheduler", "none")
    assert done.status == 2
    assert "no longer a number" in done.err.splitlines()[-1]
    assert (model / "model.weights.h5").read_bytes() == before


def test_a_run_on_hosts_that_is_refused_leaves_no_folder_behind(base, tmp_path, monkeypatch):
    words = [*base, "--results", tmp_path / "results", "--hosts", "a:1,b:1", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["train.py", *map(str, words)])
    monkeypatch.setattr(train, "stop_in_order", lambda: None)
    monkeypatch.setattr("nnunet_tf.launch.workers.find_spec", lambda name: None)
    with pytest.raises(UserError, match="Horovod"):
        train.main()
    assert not (tmp_path / "results").exists()


def test_where_only_the_other_shards_are_there_they_are_pointed_at(tmp_path):
    (tmp_path / "task20_2d").mkdir()
    options = argparse.Namespace(task="20", dim=3, shards=tmp_path)
    with pytest.raises(UserError, match="use --dim 2, whose shards are there, or run: "):
        make_job(options)
