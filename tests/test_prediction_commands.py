"""predict.py from end to end: which scans, which models, what is written, and what a stopped run leaves."""

import signal
import subprocess
import sys
import time
import warnings

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf import Predictor
from nnunet_tf.answers.run_record import RunRecord
from nnunet_tf.commands import predict
from nnunet_tf.commands.start import run_command
from nnunet_tf.inference.models.packaging import package
from tests.commands import ROOT, call, call_well, refused
from tests.data_preprocessing.samples import LPS, save
from tests.nnunet_tf.inference.samples import tiny_plan, write_untrained_model

SCANS = 4


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The home of two folds."""
    home = tmp_path_factory.mktemp("models") / "task91_3d"
    for fold in range(2):
        write_untrained_model(home / f"fold_{fold}", tiny_plan(), seed=fold)
    return home


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("scans"), np.random.default_rng(0)
    for number in range(SCANS):
        save(folder / f"scan_{number}.nii.gz", random.normal(size=(20, 21, 22)).astype(np.float32), LPS.affine())
    return folder


@pytest.fixture(scope="module")
def whole(models, scans, tmp_path_factory):
    """All scans predicted in one go."""
    folder = tmp_path_factory.mktemp("whole")
    call_well("predict.py", "--model", models, "--input", scans, "--output", folder)
    return voxels(folder)


def voxels(folder):
    return {path.name: np.asarray(nib.load(path).dataobj) for path in sorted(folder.glob("[!.]*.nii.gz"))}


def read_record(folder):
    return RunRecord.model_validate_json((folder / "run.json").read_text())


def same(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def start(*words):
    """Starts predict.py and does not wait."""
    command = [sys.executable, str(ROOT / "predict.py"), *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_a_segmentation(process, folder, timeout=120):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        if list(folder.glob("[!.]*.nii.gz")):
            return
        time.sleep(0.01)
    raise AssertionError(f"no segmentation in {timeout} s")


def test_the_command_predicts_what_the_predictor_does(models, scans, whole):
    assert len(whole) == SCANS
    assert all(len(np.unique(array)) > 1 for array in whole.values())
    same({path.name: np.asarray(Predictor(models)(path).dataobj) for path in sorted(scans.iterdir())}, whole)


def test_parts_together_are_the_whole(models, scans, whole, tmp_path):
    parts = []
    for part in (1, 2):
        words = ["--model", models, "--input", scans, "--output", tmp_path / str(part), "--part", f"{part}/2"]
        call_well("predict.py", *words, "--sw-batch-size", 2)
        parts.append(voxels(tmp_path / str(part)))
    assert [len(part) for part in parts] == [2, 2]
    assert parts[0].keys().isdisjoint(parts[1])
    same(dict(sorted({**parts[0], **parts[1]}.items())), whole)


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(models, scans, whole, tmp_path):
    words = ["--model", models, "--input", scans, "--output", tmp_path, "--overlap", 0.5]
    process = start(*words, "--overlap", 0.9)  # slow enough to be killed in the middle
    wait_for_a_segmentation(process, tmp_path)
    process.kill()
    process.communicate()
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.glob("[!.]*.nii.gz")}
    assert 0 < len(finished) < SCANS
    left = tmp_path / f".{process.pid}.scan_3.nii.gz"
    left.write_bytes(b"half")
    damaged, *others = finished
    damaged.write_bytes(b"")
    done = call_well("predict.py", *words, "--continue")
    assert not left.exists()
    assert f"{SCANS - len(others)} segmentations" in done.out
    assert all(path.stat().st_mtime_ns == finished[path] for path in others)
    found = voxels(tmp_path)
    same({damaged.name: found[damaged.name]}, {damaged.name: whole[damaged.name]})
    assert list(found) == list(whole)
    again = call_well("predict.py", *words, "--continue")
    assert "0 segmentations" in again.out


@pytest.mark.slow
def test_a_run_that_a_scheduler_ends_leaves_whole_files_and_says_how_to_go_on(models, scans, tmp_path):
    process = start("--model", models, "--input", scans, "--output", tmp_path, "--overlap", 0.9)
    wait_for_a_segmentation(process, tmp_path)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert said.splitlines()[-1] == f"predict.py: stopped; what is finished is in {tmp_path}, go on with --continue"
    assert "Traceback" not in said
    assert 0 < len(voxels(tmp_path)) < SCANS
    record = read_record(tmp_path)
    assert (record.status, record.exit_status) == ("stopped", 143)
    assert set(record.cases) == {name.removesuffix(".nii.gz") for name in voxels(tmp_path)}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
def test_a_list_of_scans_is_predicted_by_several_models_with_all_there_is_to_write(models, scans, whole, tmp_path):
    package(models / "fold_1", tmp_path / "model.zip")
    listed = tmp_path / "scans.txt"
    listed.write_text(f"{scans / 'scan_2.nii.gz'}\n\n{scans / 'scan_0.nii.gz'}\n")
    words = ["--model", models / "fold_0", tmp_path / "model.zip", "--input", listed, "--output", tmp_path / "out"]
    call_well("predict.py", *words, "--save-probabilities", "--save-uncertainty", "--tta-axes", "x")
    assert sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")) == [
        "dataset.json",
        "labels_itksnap.txt",
        "labels_slicer.ctbl",
        "probabilities/outputs.json",
        "probabilities/scan_0.nii.gz",
        "probabilities/scan_2.nii.gz",
        "run.json",
        "scan_0.nii.gz",
        "scan_2.nii.gz",
        *(f"uncertainty/scan_{scan}_{kind}.nii.gz" for scan in (0, 2) for kind in ("entropy", "spread")),
    ]
    probabilities = nib.load(tmp_path / "out" / "probabilities" / "scan_0.nii.gz").get_fdata()
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, atol=1e-4)
    labels = np.array([0, 4, 7])[probabilities.argmax(axis=-1)]
    found = voxels(tmp_path / "out")["scan_0.nii.gz"]
    assert np.mean(found == labels) > 0.999  # 16 bits make a tie now and then
    spread = nib.load(tmp_path / "out" / "uncertainty" / "scan_0_spread.nii.gz").get_fdata()
    assert spread.max() > 0


def test_a_worker_of_a_cluster_predicts_the_same(models, scans, whole, cluster_address, tmp_path):
    listed, folder = tmp_path / "scans.txt", tmp_path / "out"
    good = [scans / f"scan_{number}.nii.gz" for number in range(2)]
    damaged = tmp_path / "damaged.nii.gz"
    damaged.write_bytes(good[0].read_bytes()[:-20])
    listed.write_text("\n".join(map(str, [*good, damaged])))
    folder.mkdir()
    already = folder / "scan_1.nii.gz"
    save(already, np.zeros((20, 21, 22), np.uint8), LPS.affine())
    (folder / ".1.scan_0.nii.gz").write_bytes(b"half")  # of a worker that was killed
    words = ["--model", models, "--input", listed, "--output", folder, "--continue"]
    refused(call("predict.py", *words, "--backend", "dask", "--scheduler", cluster_address), str(damaged), "truncated")
    assert not np.asarray(nib.load(already).dataobj).any()
    assert sorted(path.name for path in folder.glob("*scan_*")) == ["scan_0.nii.gz", "scan_1.nii.gz"]
    assert read_record(folder).cases["scan_0"].status == "done"
    assert read_record(folder).cases["damaged"].status == "failed"
    np.testing.assert_array_equal(voxels(folder)["scan_0.nii.gz"], whole["scan_0.nii.gz"])


def test_odd_scans_are_warned_of_in_a_line_and_predicted(models, tmp_path):
    image = np.random.default_rng(0).normal(size=(9, 9, 9)).astype(np.float32)
    image[0, 0, 0] = np.nan
    for name in ("a", "b", "c"):
        nifti = nib.Nifti1Image(image, None)
        nifti.header["sform_code"] = nifti.header["qform_code"] = 0
        nib.save(nifti, tmp_path / f"{name}.nii.gz")
    save(tmp_path / "slice.nii.gz", image[:, :, 1], np.eye(4))
    done = call_well("predict.py", "--model", models / "fold_0", "--input", tmp_path, "--output", tmp_path / "out")
    said = [line for line in done.err.splitlines() if not line.startswith("Predicting ")]
    assert said == [
        f"warning: {tmp_path / 'a.nii.gz'}: neither qform nor sform is coded: left and right are assumed; "
        "make sure that its first axis runs from right to left",
        f"warning: {tmp_path / 'a.nii.gz'}: 1 voxel is NaN or Inf; taken for background, 0",
        f"warning: {tmp_path / 'slice.nii.gz'}: a single slice, shape (9, 9, 1), for a 3D network; "
        "a 2D network suits it better",
        "warning: 2 more files: neither qform nor sform is coded: left and right are assumed; "
        "make sure that its first axis runs from right to left",
        "warning: 2 more files: 1 voxel is NaN or Inf; taken for background, 0",
    ]
    assert nib.load(tmp_path / "out" / "slice.nii.gz").shape == (9, 9)
    assert nib.load(tmp_path / "out" / "b.nii.gz").header["sform_code"] == 0


class TestMistakes:
    """What a user gets wrong: one line, status 2, nothing written."""

    def test_another_number_of_channels(self, models, tmp_path):
        save(tmp_path / "in" / "good.nii.gz", np.ones((4, 4, 4), np.int16))
        two = save(tmp_path / "in" / "two.nii.gz", np.ones((4, 4, 4, 2), np.int16))
        words = ["--model", models, "--input", tmp_path / "in", "--output", tmp_path / "out"]
        refused(call("predict.py", *words), str(two), "2 channels where Task91_Tiny has 1 (MRI)")
        assert list((tmp_path / "out").iterdir()) == []

    def test_a_list_that_names_what_is_not_there(self, models, tmp_path):
        (tmp_path / "scans.txt").write_text(f"{tmp_path / 'gone.nii.gz'}\n")
        words = ["--model", models, "--input", tmp_path / "scans.txt", "--output", tmp_path / "out"]
        refused(call("predict.py", *words), str(tmp_path / "gone.nii.gz"), f"correct it in {tmp_path / 'scans.txt'}")

    def test_several_models_without_a_folder_for_the_output(self, models, scans):
        refused(call("predict.py", "--model", models / "fold_0", models / "fold_1", "--input", scans), "--output")

    def test_a_part_that_there_is_not(self):
        for part in ("5/4", "0/4", "2"):
            refused(call("predict.py", "--part", part), "--part", "1/4")

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--dim", "3", "--model", "here"], "--dim does not go with --model"),
            (["--model", "here", "--task", "04"], "--task does not go with --model"),
            (["--tta-axes", "xq"], "--tta-axes: 'xq' is not made of the axes"),
            (["--tta-axes", ""], "--tta-axes: '' is not made of the axes"),
        ],
    )
    def test_options_that_do_not_go_together(self, words, said):
        with pytest.raises(UserError, match=said):
            run_command(predict, words)

    def test_more_parts_than_scans(self, models, scans, tmp_path, monkeypatch, capsys):
        words = ["--model", models, "--input", scans, "--output", tmp_path / "out", "--part", "5/8"]
        monkeypatch.setattr(predict, "stop_in_order", lambda: None)
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
        run_command(predict, [*map(str, words)])
        assert capsys.readouterr().out == f"part 5/8: has none of the {SCANS} scans; there are more parts than scans\n"

    def test_weights_of_another_topology(self, models, scans, tmp_path):
        other = tiny_plan(topology=tiny_plan().topology.model_copy(update={"features": (8, 8)}))
        write_untrained_model(tmp_path / "model", other)
        (tmp_path / "model" / "plan.json").write_text((models / "fold_0" / "plan.json").read_text())
        words = ["--model", tmp_path / "model", "--input", scans, "--output", tmp_path / "out"]
        refused(call("predict.py", *words), str(tmp_path / "model" / "model.weights.h5"), "does not hold")
