import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.evaluation.metrics.dice import summarize
from nnunet_tf.training.loop.cross_validation import cross_validate
from tests.nnunet_tf.training.loop.test_run import make_job

SCRIPT = "import sys; print(*sys.argv[2:], file=open(sys.argv[1], 'a'))"


@pytest.mark.slow
def test_a_worker_that_does_not_lead_takes_part_in_every_fold_and_gathers_nothing(tmp_path, capfd):
    script, said = tmp_path / "train.py", tmp_path / "said"
    script.write_text(SCRIPT)
    job = make_job(tmp_path, tmp_path / "task90_2d", "unet", 1)
    assert cross_validate(job, [str(script), str(said)], resume=False, leads=False) is None
    assert said.read_text().splitlines() == [
        f"--no-cross-validate --fold {fold} --overwrite --no-resume" for fold in range(5)
    ]
    assert capfd.readouterr().out == ""
    assert not list(tmp_path.rglob("cross_validation.json"))


TRAINS = """
import json, shutil, sys
from pathlib import Path

home, fails, *options = sys.argv[1:]
fold = options[options.index("--fold") + 1]
with open(Path(home, "said"), "a") as said:
    print(fold, options[-1], file=said)
if fold == fails:
    sys.exit(2)
folder = Path(home, f"fold_{fold}")
folder.mkdir(exist_ok=True)
(folder / "checkpoint.npz").write_bytes(b"")
shutil.copy(Path(home, "scores"), folder / "validation.json")
"""


@pytest.fixture
def trained(tmp_path):
    """A function that cross-validates, fold `fails` failing, and returns what was asked of each fold."""
    (tmp_path / "train.py").write_text(TRAINS)
    home = tmp_path / "task90_2d"
    home.mkdir()
    job = make_job(tmp_path, home / "fold_0", "unet", 1)
    (home / "scores").write_text(summarize(["a"], ["organ"], np.array([[[1, 1, 1]]])).model_dump_json())

    def train(resume, fails=None):
        (home / "said").write_text("")
        command = [str(tmp_path / "train.py"), str(home), str(fails)]
        if fails is None:
            assert cross_validate(job, command, resume) is not None
        else:
            with pytest.raises(UserError, match=f"fold {fails} ended with status 2"):
                cross_validate(job, command, resume)
        return (home / "said").read_text().split("\n")[:-1]

    return train


NEW, OLD = "--no-resume", "--resume"


@pytest.mark.slow
def test_resume_begins_the_folds_that_an_earlier_cross_validation_has_left(trained):
    trained(resume=False)
    assert trained(resume=False, fails=2) == [f"0 {NEW}", f"1 {NEW}", f"2 {NEW}"]
    assert trained(resume=True, fails=3) == [f"0 {OLD}", f"1 {OLD}", f"2 {NEW}", f"3 {NEW}"]
    assert trained(resume=True) == [f"0 {OLD}", f"1 {OLD}", f"2 {OLD}", f"3 {NEW}", f"4 {NEW}"]
    assert trained(resume=True) == [f"{fold} {OLD}" for fold in range(5)]


@pytest.mark.slow
def test_one_that_fails_before_its_first_epoch_leaves_an_earlier_one_to_be_resumed(trained):
    trained(resume=False, fails=3)
    trained(resume=False, fails=0)
    assert trained(resume=True) == [f"0 {OLD}", f"1 {OLD}", f"2 {OLD}", f"3 {NEW}", f"4 {NEW}"]
