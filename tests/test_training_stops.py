"""train.py when it is stopped, killed or loses a worker: what is kept, and that it goes on exactly."""

import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from tests.commands import ROOT, call, call_well, refused, run_well
from tests.running import CHATTER, SHORT, arrays, end, epochs_done, losses, read_until, wait_for_epochs, worker

pytestmark = pytest.mark.slow


@pytest.fixture
def start():
    """Starts train.py and does not wait; what of it runs on after the test is killed."""
    processes = []

    def start_with(*words):
        command = [sys.executable, str(ROOT / "train.py"), *map(str, words)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
        processes.append(process)
        return process

    yield start_with
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


KILLED_IN_STEP_6 = """
import os, signal, sys
from nnunet_tf.runtime import stopping

steps = 0

def raise_if_stopped():
    global steps
    steps += sys._getframe(1).f_code.co_name == "train_epoch"
    if steps == 6:
        os.kill(os.getpid(), signal.SIGKILL)

stopping.raise_if_stopped = raise_if_stopped
from nnunet_tf.commands import train
from nnunet_tf.commands.start import run_command
run_command(train, None)
"""


def test_a_killed_and_resumed_run_ends_with_the_very_weights_of_an_undisturbed_one(base, tmp_path):
    words = [*base, "--amp", "--deep-supervision", "--ema", 0.9, "--epochs", 3, "--steps-per-epoch", 4]
    words += ["--validate-every", 1]
    run_well("train.py", *words, "--results", tmp_path / "whole")
    killed = tmp_path / "killed" / "task90_3d" / "fold_0"
    command = [sys.executable, "-c", KILLED_IN_STEP_6, *words, "--results", tmp_path / "killed"]
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


def test_a_scheduler_that_ends_the_run_leaves_the_last_finished_epoch(base, start, small_data, tmp_path):
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
    call_well("predict.py", "--model", model, "--input", scans, "--output", tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 2


STOPS = pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])


@STOPS
def test_a_cross_validation_is_stopped_with_its_workers_and_says_how_it_goes_on(base, start, tmp_path, number, status):
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


def test_a_stop_before_the_first_epoch_leaves_an_older_run_and_does_not_take_it_for_its_own(base, start, tmp_path):
    words = [*base, "--results", tmp_path, "--validate-every", 0]
    call_well("train.py", *words, "--epochs", 1, "--steps-per-epoch", 2)
    model = tmp_path / "task90_3d" / "fold_0"
    before = arrays(model / "checkpoint.npz")
    process = start(*words, "--epochs", 1, "--steps-per-epoch", 100_000, "--overwrite")
    read_until(process.stderr, "Training")
    said = end(process, signal.SIGTERM)
    assert said[-1] == f"train.py: stopped; no epoch was finished; {model} keeps the older run"
    assert arrays(model / "checkpoint.npz").keys() == before.keys()


def test_two_runs_do_not_write_into_one_folder(base, start, tmp_path):
    process = start(*base, "--results", tmp_path, "--epochs", 500, "--steps-per-epoch", 2)
    model = tmp_path / "task90_3d" / "fold_0"
    wait_for_epochs(process, model, 1)
    refused(call("train.py", *base, *SHORT, "--results", tmp_path, "--overwrite"), str(model), "another train.py")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130


def test_a_killed_worker_ends_the_run_and_resume_goes_on_to_the_losses_of_one_worker(base, start, tmp_path):
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
    done = run_well("train.py", *words, "--batch-size", 1, "--gpus", 2, "--epochs", epochs, "--resume")
    assert not CHATTER.search(done.out + done.err), done.out + done.err
    assert json.loads(settings.read_text())["workers"] == 2
    assert len(json.loads((model / "validation.json").read_text())["cases"]) == 2
    call_well("train.py", *words, "--batch-size", 2, "--epochs", epochs, "--results", tmp_path / "alone")
    curve = losses(model)
    assert len(curve) == epochs
    np.testing.assert_allclose(curve, losses(tmp_path / "alone" / "task90_3d" / "fold_0"), rtol=1e-4)


def test_an_elastic_run_goes_on_without_a_killed_worker_and_takes_in_a_new_one(base, start, tmp_path):
    pytest.importorskip("horovod", reason="Horovod is not installed: make setup")
    machines, script = tmp_path / "machines", tmp_path / "discover.sh"
    machines.write_text("localhost:2\n")
    script.write_text(f"#!/bin/sh\ncat {machines}\n")
    script.chmod(0o755)
    words = [*base, "--results", tmp_path, "--device", "cpu", "--batch-size", 1, "--validate-every", 0]
    words += ["--epochs", 5000, "--steps-per-epoch", 25, "--scheduler", "none", "--warmup-steps", 0]
    words += ["--gpus", 2, "--elastic", "--host-discovery", script, "--batch-dice"]
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
