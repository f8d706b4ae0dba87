"""The commands as functions, in a script of a user that has no `if __name__ == "__main__"`."""

import json
import subprocess
import sys

import pytest

import nnunet_tf
from nnunet_tf.api import parse
from tests.commands import ROOT

SCRIPT = """
import json, pathlib, sys
import nnunet_tf

told = {}
def on_progress(title, done, total):
    told[title] = [done, total]

places = {"shards": "shards", "on_progress": on_progress}
config = nnunet_tf.plan("Task97_Mine", data="data", gpu_memory=2.0, **places)
made = nnunet_tf.preprocess(97, data="data", n_jobs=2, **places)
short = {"epochs": 1, "steps_per_epoch": 2, "batch_size": 1, "device": "cpu"}
models = [nnunet_tf.train("97", fold=fold, amp=fold == 1, **short, **places) for fold in (0, 1)]
predictor = nnunet_tf.Predictor(models[0], device="cpu")
(labels,) = sys.argv[1:]
pathlib.Path("predictions").mkdir()
for image in pathlib.Path("data/Task97_Mine/imagesTr").iterdir():
    predictor(image).to_filename(f"predictions/{image.name}")
scores = nnunet_tf.evaluate("predictions", labels, surface=False, csv="scores.csv", on_progress=on_progress)
print("RESULT", json.dumps([str(config), len(made.records), [str(model) for model in models], len(scores.cases), told]))
"""


@pytest.mark.slow
def test_a_script_goes_from_a_folder_of_scans_to_scores(small_data, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "Task97_Mine").symlink_to(small_data / "Task90_Small")
    (tmp_path / "go.py").write_text(SCRIPT)
    words = [sys.executable, "go.py", str(small_data / "Task90_Small" / "labelsTr")]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()  # and nothing else is printed
    config, cases, models, scored, told = json.loads(line.removeprefix("RESULT "))
    assert config == "configs/task97.yaml"
    assert models == ["results/task97_3d/fold_0", "results/task97_3d/fold_1"]
    assert cases == scored > 0
    assert all(done == total for done, total in told.values())
    assert {"Scoring", "Validation"} < set(told)
    assert (tmp_path / "scores.csv").is_file()


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ({"dim": 2, "amp": True}, "amp", True),
        ({"amp": False}, "amp", False),
        ({"deep_supervision": True}, "deep_supervision", True),
        ({"negative_slope": 0.1}, "negative_slope", 0.1),
        ({"fold": "all"}, "fold", "all"),
        ({"epochs": None}, "epochs", None),
        ({"cross_validate": True}, "cross_validate", True),
        ({"batch_dice": False}, "batch_dice", False),
    ],
)
def test_keywords_are_options(options, name, value):
    assert getattr(parse("train", options)[0], name) == value


def test_what_is_no_option_is_told():
    with pytest.raises(TypeError, match="epoch"):
        nnunet_tf.train("04", epoch=3)
    with pytest.raises(nnunet_tf.UserError, match="--epochs"):
        nnunet_tf.train("04", epochs=0)


def test_everything_public_is_there():
    for name in nnunet_tf.__all__:
        assert getattr(nnunet_tf, name) is not None
