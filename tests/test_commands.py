"""The commands from end to end, on a small phantom data set, and what users get wrong."""

import json
import shutil
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from tests.commands import ROOT, call, call_well, refused, run_well
from tests.nnunet_tf.inference.samples import tiny_plan, write_untrained_model
from tests.running import CHATTER


@pytest.fixture(scope="module")
def task(small_config_file):
    return ["--task", small_config_file]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module", params=[2, 3])
def trained(request, task, small_data, results, tmp_path_factory):
    """Preprocessed, trained, predicted and evaluated once for each dimension; returns the model folder and the talk.

    In 3D by processes, in 2D in this one.
    """
    dim, run = request.param, run_well if request.param == 3 else call_well
    shards, everywhere = tmp_path_factory.mktemp("shards"), [*task, "--dim", dim]
    talk = [run("preprocess.py", *everywhere, "--data", small_data, "--shards", shards)]
    places = ["--shards", shards, "--results", results]
    talk.append(run("train.py", *everywhere, *places, "--amp", "--deep-supervision", "--gpus", 1))
    talk.append(run("predict.py", *everywhere, "--data", small_data, "--results", results, "--tta"))
    model = results / f"task90_{dim}d" / "fold_0"
    labels = small_data / "Task90_Small" / "labelsTs"
    scores = ["--json", model / "scores.json"]
    talk.append(run("evaluate.py", "--predictions", model / "predictions", "--labels", labels, *scores))
    return model, talk, shards


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """A model folder."""
    folder = tmp_path_factory.mktemp("models") / "model"
    write_untrained_model(folder, tiny_plan())
    return folder


@pytest.mark.slow
def test_training_fills_the_model_folder(trained):
    model, _, _ = trained
    history = [json.loads(line) for line in (model / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in history] == [0, 1]
    assert all(np.isfinite(line["loss"]) for line in history)
    assert (model / "progress.png").read_bytes().startswith(b"\x89PNG")
    validation = json.loads((model / "validation.json").read_text())
    assert all(set(scores) == {"organ", "lesion"} for scores in validation["cases"].values())
    assert len(validation["cases"]) == 2  # a fifth of six cases, rounded up


@pytest.mark.slow
def test_each_test_image_gets_a_segmentation_on_its_own_grid(trained, small_data):
    model, _, _ = trained
    images = sorted((small_data / "Task90_Small" / "imagesTs").iterdir())
    assert sorted(path.name for path in (model / "predictions").glob("*.nii.gz")) == [path.name for path in images]
    for path in images:
        image, output = nib.load(path), nib.load(model / "predictions" / path.name)
        assert output.shape == image.shape
        np.testing.assert_array_equal(output.affine, image.affine)
        assert int(output.header["sform_code"]) == int(image.header["sform_code"])
        assert int(output.header["qform_code"]) == int(image.header["qform_code"])
        assert output.get_data_dtype().kind == "u"


@pytest.mark.slow
def test_scores_are_printed_and_written(trained):
    model, talk, _ = trained
    assert "organ" in talk[3].out
    scores = json.loads((model / "scores.json").read_text())
    assert set(scores["cases"]) == {"phantom_006", "phantom_007"}


@pytest.mark.slow
def test_no_library_chatter_reaches_the_terminal(trained):
    _, talk, _ = trained
    for done in talk:
        assert not CHATTER.search(done.out + done.err), done.out + done.err


@pytest.mark.slow
def test_a_finished_run_can_be_resumed_for_more_epochs(trained, task, results):
    model, _, shards = trained
    words = [*task, "--dim", 2 if "2d" in model.parent.name else 3, "--shards", shards, "--results", results]
    call_well("train.py", *words, "--amp", "--deep-supervision", "--resume", "--epochs", 3)
    history = [json.loads(line) for line in (model / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in history] == [0, 1, 2]


def test_one_file_is_predicted_into_a_folder_of_choice(untrained, small_data, tmp_path):
    image = next((small_data / "Task90_Small" / "imagesTs").iterdir())
    call_well(
        "predict.py", "--model", untrained, "--input", image, "--output", tmp_path / "out", "--blend-mode", "constant"
    )
    assert [path.name for path in (tmp_path / "out").glob("*.nii.gz")] == [image.name]


def test_predictions_never_overwrite_the_scans(untrained, small_data, tmp_path):
    shutil.copytree(small_data / "Task90_Small" / "imagesTs", tmp_path / "scans")
    before = {path.name: path.read_bytes() for path in (tmp_path / "scans").iterdir()}
    same = ["--input", tmp_path / "scans", "--output", tmp_path / "scans"]
    refused(call("predict.py", "--model", untrained, *same), "scans themselves", "another folder")
    assert {path.name: path.read_bytes() for path in (tmp_path / "scans").iterdir()} == before


def test_one_bad_scan_does_not_keep_the_others_waiting(untrained, small_data, tmp_path):
    shutil.copytree(small_data / "Task90_Small" / "imagesTs", tmp_path / "scans")
    bad, good = sorted((tmp_path / "scans").iterdir())
    bad.write_bytes(bad.read_bytes()[:500])
    done = call("predict.py", "--model", untrained, "--input", tmp_path / "scans", "--output", tmp_path / "out")
    assert done.status == 2
    assert f"{bad}: truncated" in done.err.splitlines()[-1]
    assert [path.name for path in (tmp_path / "out").glob("*.nii.gz")] == [good.name]


@pytest.mark.slow
@pytest.mark.parametrize("script", ["preprocess.py", "train.py", "predict.py", "evaluate.py", "benchmark.py"])
def test_help_does_not_wait_for_heavy_libraries(script):
    # Asked of a fresh interpreter: what is loaded when --help has been answered?
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['{script}', '--help']\n"
        "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        "print('LOADED', *sorted({'tensorflow', 'numpy', 'pydantic', 'nibabel'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "usage:" in done.stdout
    assert done.stdout.splitlines()[-1] == "LOADED"


def give_it_the_label(path, number):
    voxels = np.asarray(nib.load(path).dataobj).copy()
    voxels[0, 0, 0] = number
    nib.save(nib.Nifti1Image(voxels, nib.load(path).affine), path)


class TestMistakes:
    """What a user gets wrong: one line, status 2, nothing half written."""

    def test_unknown_task(self, tmp_path):
        refused(call("preprocess.py", "--task", 77, "--shards", tmp_path), "--task 77", "00, 01", "config file")
        refused(call("train.py", "--task", "nowhere.yaml"), "nowhere.yaml")

    def test_missing_data_folder(self, tmp_path):
        done = call("preprocess.py", "--task", "04", "--data", tmp_path, "--shards", tmp_path / "shards")
        refused(done, str(tmp_path / "Task04_Hippocampus"), "--data")
        assert not (tmp_path / "shards").exists()

    def test_training_without_shards(self, tmp_path):
        refused(call("train.py", "--shards", tmp_path), "task01_3d", "preprocess.py --task 01")

    def test_training_on_shards_of_another_config(self, small_config_file, small_shards, tmp_path):
        changed = tmp_path / "changed.yaml"
        changed.write_text(small_config_file.read_text().replace("[1.5, 1.5, 1.5]", "[1.5, 1.5, 2.5]"))
        done = call("train.py", "--task", changed, "--shards", small_shards, "--results", tmp_path / "results")
        refused(done, "another config", "spacing_3d", "preprocess.py")
        assert not (tmp_path / "results").exists()

    @pytest.fixture
    def own_data(self, small_data, tmp_path):
        shutil.copytree(small_data, tmp_path / "data")
        return tmp_path / "data"

    def preprocess(self, small_config_file, data, *options):
        shards = data.parent / "shards"
        done = call("preprocess.py", "--task", small_config_file, "--data", data, "--shards", shards, *options)
        assert not shards.exists()
        return done

    def test_a_truncated_image(self, small_config_file, own_data):
        image = own_data / "Task90_Small" / "imagesTr" / "phantom_001.nii.gz"
        image.write_bytes(image.read_bytes()[:-100])
        refused(self.preprocess(small_config_file, own_data), str(image), "truncated", "copy it again")

    def test_a_label_that_is_not_declared(self, small_config_file, own_data):
        label = own_data / "Task90_Small" / "labelsTr" / "phantom_003.nii.gz"
        give_it_the_label(label, 9)
        refused(self.preprocess(small_config_file, own_data), str(label), "label 9", "declare it")

    def test_all_problems_at_once_in_one_table(self, small_config_file, own_data):
        for case in ("phantom_001", "phantom_003"):
            give_it_the_label(own_data / "Task90_Small" / "labelsTr" / f"{case}.nii.gz", 9)
        (own_data / "Task90_Small" / "imagesTr" / "phantom_002.nii.gz").write_bytes(b"")
        done = self.preprocess(small_config_file, own_data, "--verify", "--json")
        assert done.status == 2
        report = json.loads(done.out)
        assert report["errors"] == 3
        assert {finding["case"] for finding in report["findings"]} == {"phantom_001", "phantom_002", "phantom_003"}
        table = self.preprocess(small_config_file, own_data, "--verify")
        assert table.status == 2
        assert "3 errors" in table.out
        assert table.err.splitlines()[-1].endswith("correct them")

    def test_predicting_without_a_model(self, tmp_path):
        refused(call("predict.py", "--results", tmp_path), str(tmp_path / "task01_3d" / "fold_0"), "train.py")

    def test_more_gpus_than_the_machine_has(self, task, small_shards, tmp_path):
        done = call("train.py", *task, "--shards", small_shards, "--results", tmp_path, "--gpus", 64)
        refused(done, "--gpus 64", "--device cpu")

    def test_a_gpu_where_there_is_none(self, task, small_shards, tmp_path):
        import tensorflow as tf

        if tf.config.list_physical_devices("GPU"):
            pytest.skip("there is a GPU here")
        done = call("train.py", *task, "--shards", small_shards, "--results", tmp_path, "--device", "gpu")
        refused(done, "--device gpu", "--device cpu")

    def test_resuming_what_never_began(self, task, small_shards, tmp_path):
        done = call("train.py", *task, "--shards", small_shards, "--results", tmp_path, "--resume")
        refused(done, "checkpoint.npz", "without --resume")

    @pytest.mark.slow
    def test_resuming_with_other_settings(self, task, small_shards, tmp_path):
        places = ["--shards", small_shards, "--results", tmp_path, "--epochs", 1, "--steps-per-epoch", 1]
        call_well("train.py", *task, *places)
        plan = (tmp_path / "task90_3d" / "fold_0" / "plan.json").read_bytes()
        done = call("train.py", *task, *places, "--resume", "--nfolds", 2, "--learning-rate", 0.5)
        refused(done, "training.json", "--nfolds was 5, is 2", "--learning-rate was 0.001, is 0.5", "without --resume")
        assert (tmp_path / "task90_3d" / "fold_0" / "plan.json").read_bytes() == plan

    def test_writing_where_nothing_can_be_written(self, task, small_config_file, small_data, small_shards, tmp_path):
        file = tmp_path / "file"
        file.write_text("mine")
        refused(call("train.py", *task, "--shards", small_shards, "--results", file), str(file), "cannot be written")
        done = call("preprocess.py", "--task", small_config_file, "--data", small_data, "--shards", file)
        refused(done, str(file), "cannot be written")
        assert file.read_text() == "mine"

    def test_the_config_of_another_data_set(self, small_data, tmp_path):
        done = call("preprocess.py", "--task", "04", "--from-nnunet", small_data / "Task90_Small", "--shards", tmp_path)
        refused(done, "Task90_Small", "Task04_Hippocampus", "--task")

    def test_json_without_a_check(self):
        refused(call("preprocess.py", "--json"), "--json belongs to --verify")

    def test_an_encoder_without_a_plan(self):
        refused(call("preprocess.py", "--encoder", "residual"), "--encoder belongs to --plan")

    def test_a_misspelt_option(self):
        refused(call("train.py", "--epoch", "many"), "--epoch")
