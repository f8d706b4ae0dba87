import pytest

from nnunet_tf.runtime import progress
from nnunet_tf.runtime.progress import track


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end(capsys, monkeypatch):
    with track("Work", total=3, unit="cases") as tracker:
        for done in (1, 2, 3):
            tracker.update(done, note=f"loss {done}")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Work 3/3")
    assert "cases/s" in lines[0]
    assert lines[0].endswith("loss 3")
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with track("Work", total=None, unit="cases") as tracker:
        tracker.update(1, total=2)
        tracker.update(2, total=2)
    assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == ["1/2", "2/2"]


def test_a_silent_tracker_says_nothing(capsys):
    with track("Work", total=1, unit="cases", show=False) as tracker:
        tracker.update(1)
    assert capsys.readouterr().err == ""


def test_a_part_of_a_step_counts_for_the_time_left_but_whole_steps_are_shown(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with track("Work", total=4, unit="cases") as tracker:
        tracker.start -= 60
        tracker.update(1.5)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.split()[1] == "1/4"
    assert "1:40 left" in line


@pytest.mark.parametrize("terminal", [False, True])
def test_what_failed_is_counted_beside_what_is_done(capsys, monkeypatch, terminal):
    monkeypatch.setenv("TTY_COMPATIBLE", str(int(terminal)))
    with track("Work", total=1, unit="cases") as tracker:
        tracker.update(1, failed=1)
    said = capsys.readouterr().err
    assert "0/1, 1 failed" in said
    assert "1/1" not in said


@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_said_beside_the_progress_is_a_line_as_it_stands(capsys, monkeypatch, terminal):
    monkeypatch.setenv("TTY_COMPATIBLE", str(int(terminal)))
    with track("Work", total=1, unit="cases") as tracker:
        assert (tracker.bar is not None) == terminal
        tracker.say("warning: [odd] " + "long " * 40)
    assert "warning: [odd] " + "long " * 40 in capsys.readouterr().err
