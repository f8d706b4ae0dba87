import pytest

from data_preprocessing.errors import UserError
from nnunet_tf.training.launch import launch

pytest.importorskip("horovod", reason="Horovod is not installed: make setup")


def test_only_rank_0_speaks_on_standard_output(tmp_path, capfd):
    script = tmp_path / "worker.py"
    script.write_text("import os; print('I am', os.environ['HOROVOD_RANK'], 'of', os.environ['HOROVOD_SIZE'])")
    launch(2, [str(script)])
    assert "I am 0 of 2" in capfd.readouterr().out.splitlines()


def test_a_failing_worker_shows_its_own_error_and_ends_the_run(tmp_path, capfd):
    script = tmp_path / "worker.py"
    script.write_text("import os, sys\nif os.environ['HOROVOD_RANK'] == '1':\n    sys.exit('the disk is full')\n")
    with pytest.raises(UserError, match="a worker failed"):
        launch(2, [str(script)])
    assert "[worker 1] the disk is full" in capfd.readouterr().out


def test_a_machine_that_does_not_know_its_own_name_is_told_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "nowhere.invalid")
    with pytest.raises(UserError, match=r"nowhere.invalid, leads nowhere; add it to /etc/hosts"):
        launch(2, [str(tmp_path / "never.py")])
