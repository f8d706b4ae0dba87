import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.commands.options.launch import add_launch_options, set_workers, workers_to_start
from nnunet_tf.commands.parser import CommandParser


def parsed(*words):
    parser = CommandParser("")
    add_launch_options(parser)
    options = parser.parse_args(words)
    set_workers(options)
    return options


def test_one_worker_is_started_by_nobody():
    options = parsed()
    assert options.gpus == 1
    assert workers_to_start(options) is None


def test_the_machines_say_how_many_workers_there_are_unless_that_is_said():
    launch = workers_to_start(parsed("--hosts", "a:2,b:4", "--ssh-port", "2222", "--network-interface", "ib0"))
    assert (launch.workers, [str(host) for host in launch.machines]) == (6, ["a:2", "b:4"])
    assert (launch.connection.ssh_port, launch.connection.network_interface) == (2222, "ib0")
    launch = workers_to_start(parsed("--hosts", "a:2,b:4", "--gpus", "3"))
    assert [str(host) for host in launch.machines] == ["a:2", "b:1"]


def test_an_elastic_run_keeps_the_slots_that_it_does_not_begin_with():
    launch = workers_to_start(parsed("--hosts", "a:2,b:4", "--gpus", "3", "--elastic", "--max-workers", "5"))
    assert [str(host) for host in launch.machines] == ["a:2", "b:4"]
    assert (launch.elastic.min_workers, launch.elastic.max_workers) == (1, 5)


def test_a_worker_takes_the_number_that_the_launcher_gives(monkeypatch):
    monkeypatch.setenv("HOROVOD_RANK", "1")
    monkeypatch.setenv("HOROVOD_SIZE", "4")
    options = parsed()
    assert options.gpus == 4
    assert workers_to_start(options) is None
    with pytest.raises(UserError, match=r"--gpus 2: the launcher started 4 workers"):
        parsed("--gpus", "2")


def test_a_worker_of_mpirun_takes_its_number_and_starts_no_others(monkeypatch):
    monkeypatch.setenv("PMI_RANK", "1")
    monkeypatch.setenv("PMI_SIZE", "4")
    options = parsed("--network-interface", "ib0")
    assert options.gpus == 4
    assert workers_to_start(options) is None
    with pytest.raises(UserError, match=r"--gpus 2: the launcher started 4 workers"):
        parsed("--gpus", "2")
    for words in (["--elastic"], ["--hosts", "a:4"], ["--ssh-port", "22"], ["--host-discovery", "x"]):
        with pytest.raises(UserError, match=f"{words[0]}: is for workers that train.py starts itself; mpirun has"):
            parsed(*words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--min-workers", "2"], "--min-workers: means nothing without --elastic"),
        (["--host-discovery", "x"], "--host-discovery: means nothing without --elastic"),
        (["--elastic", "--hosts", "a:1", "--host-discovery", "x"], "give one of them"),
        (["--elastic", "--gpus", "2", "--min-workers", "3"], "--min-workers 3: is more than the 2 workers"),
        (["--elastic", "--gpus", "2", "--max-workers", "1"], "--max-workers 1: is fewer"),
        (["--gpus", "2", "--ssh-key", "nowhere"], "--ssh-key nowhere: no such file"),
    ],
)
def test_options_that_contradict_each_other_are_refused(words, said):
    with pytest.raises(UserError, match=said):
        workers_to_start(parsed(*words))


def test_a_list_of_machines_that_is_none_is_refused_in_one_line():
    with pytest.raises(UserError) as refused_by:
        parsed("--hosts", "a8")
    assert "'a8' is not a machine and its workers" in str(refused_by.value)
