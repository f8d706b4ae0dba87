import pytest

from data_preprocessing.common.errors import CommandFailed, UserError
from nnunet_tf.launch.horovod.output import Output


def shown(output, lines):
    return "".join(filter(None, (output.shown(f"{line}\n") for line in lines)))


def test_rank_0_is_shown_as_it_is_and_only_the_errors_of_the_others():
    lines = ["[0]<stdout>:Model in results", "[1]<stdout>:quiet", "[0]<stderr>:10/20", "[1]<stderr>:careful"]
    lines += ["[0]<stderr>:x horovod/common/operations.cc:1 gone", "Terminating remaining workers"]
    assert shown(Output("train.py"), lines) == "Model in results\n10/20\n[worker 1] careful\n"


def test_the_worker_that_failed_first_is_named_not_those_that_lost_it():
    output = Output("train.py")
    lines = [
        "[0]<stderr>:Traceback (most recent call last):",
        "[0]<stderr>:UnknownError: Horovod has been shut down.",
        "Process 0 exit with status code 1.",
        "[2]<stderr>:MemoryError",
        "Process 1 exit with status code 143.",
        "Process 2 exit with status code 1.",
    ]
    shown(output, lines)
    error = output.error()
    assert isinstance(error, CommandFailed)
    assert str(error).startswith("worker 2: MemoryError; ")


def test_a_killed_worker_is_named_with_its_signal():
    output = Output("train.py")
    shown(output, ["Process 1 exit with status code 137.", "Process 0 exit with status code 143."])
    assert str(output.error()).startswith("worker 1 was killed (signal 9); ")
    assert isinstance(output.error(), CommandFailed)


def test_an_error_of_the_users_is_kept_to_be_said_last():
    output = Output("train.py")
    said = shown(output, ["[1]<stderr>:train.py: no GPU; use another", "Process 1 exit with status code 2."])
    assert said == ""
    assert isinstance(output.error(), UserError)
    assert str(output.error()) == "worker 1: no GPU; use another"


def test_an_elastic_run_says_who_was_lost_and_shows_every_worker():
    output = Output("train.py", elastic=True)
    lines = ["Process 0 exit with status code 137.", "[1]<stdout>:Going on", "Process 2 exit with status code 255."]
    assert shown(output, lines).splitlines() == [
        "worker 0 was killed (signal 9)",
        "Going on",
        "worker 2: the connection to its machine was lost, or never made",
    ]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["ssh not successful for host b:", "b: Permission denied", "RuntimeError: no ssh"], "b: Permission denied"),
        ([], "said nothing"),
    ],
)
def test_a_launcher_that_starts_nothing_says_why(lines, words):
    output = Output("train.py")
    shown(output, lines)
    assert isinstance(output.error(), UserError)
    assert words in str(output.error())
