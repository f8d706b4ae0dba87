import pytest

from data_preprocessing.common.errors import CommandFailed, UserError
from nnunet_tf.launch.horovod.workers import Launch, check_devices, start
from nnunet_tf.launch.hosts import Host

pytest.importorskip("horovod", reason="Horovod is not installed: make setup")

TWO = Launch(workers=2)
FAILING = """
import os, sys
print('I am', os.environ['HOROVOD_RANK'], 'of', os.environ['HOROVOD_SIZE'])
if os.environ['HOROVOD_RANK'] == '1':
    {end}
"""


def write(folder, end="pass"):
    script = folder / "worker.py"
    script.write_text(FAILING.format(end=end))
    return [str(script)]


@pytest.mark.slow
def test_only_rank_0_speaks_on_standard_output(tmp_path, capfd):
    start(TWO, write(tmp_path))
    assert capfd.readouterr().out.splitlines() == ["I am 0 of 2"]


@pytest.mark.slow
def test_options_of_the_command_are_not_taken_for_those_of_the_launcher(tmp_path, capfd):
    script = tmp_path / "worker.py"
    script.write_text("import sys; print(sys.argv[1:])")
    words = ["--network", "unet", "--min", "1", "--", "-n", "a b", "--verbose"]
    start(TWO, [str(script), *words])
    assert capfd.readouterr().out.splitlines() == [str(words)]


@pytest.mark.slow
def test_an_error_of_the_users_in_one_worker_is_what_the_run_ends_with(tmp_path, capfd):
    with pytest.raises(UserError, match=r"^worker 1: the disk is full; make room$"):
        start(TWO, write(tmp_path, "sys.exit(print('worker.py: the disk is full; make room', file=sys.stderr) or 2)"))
    assert "the disk is full" not in capfd.readouterr().out  # it is said once, at the end


@pytest.mark.slow
def test_a_bug_in_one_worker_keeps_its_traceback_and_is_named_at_the_end(tmp_path, capfd):
    with pytest.raises(CommandFailed, match=r"^worker 1: ZeroDivisionError: division by zero; .*--resume"):
        start(TWO, write(tmp_path, "1 / 0"))
    assert "[worker 1] Traceback (most recent call last):" in capfd.readouterr().out


def test_a_machine_that_does_not_know_its_own_name_is_told_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "nowhere.invalid")
    with pytest.raises(UserError, match=r"nowhere.invalid, leads nowhere; add it to /etc/hosts"):
        start(TWO, [str(tmp_path / "never.py")])


def test_only_the_gpus_of_this_machine_are_counted(monkeypatch):
    monkeypatch.setattr("nnunet_tf.launch.horovod.workers.count_gpus", lambda: 2)
    hosts = (Host(name="localhost", slots=2), Host(name="elsewhere.invalid", slots=8))
    check_devices(Launch(workers=10, hosts=hosts), "gpu")
    check_devices(Launch(workers=4), "cpu")
    with pytest.raises(UserError, match="sees 2 GPUs on this machine, which is to run 3 workers"):
        check_devices(Launch(workers=3), "auto")
