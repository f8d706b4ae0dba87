import pytest

from data_preprocessing.errors import UserError
from nnunet_tf.runtime.command_line import CommandParser, overlap, positive_float, positive_int, run


def fail(error):
    def command():
        raise error

    return command


def test_a_user_error_is_one_line_and_status_2(capsys):
    with pytest.raises(SystemExit) as stopped:
        run(fail(UserError("scan.nii.gz: truncated\n  copy it again")))
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "scan.nii.gz: truncated copy it again" in message


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run(fail(ZeroDivisionError()))


@pytest.mark.parametrize(
    ("convert", "good", "bad"),
    [
        (positive_int, ["1", "20"], ["0", "-1", "1.5", "x", ""]),
        (positive_float, ["1e-3", "2"], ["0", "-1", "nan", "inf", "x"]),
        (overlap, ["0", "0.5", "0.95"], ["1", "-0.1", "nan", "50"]),
    ],
)
def test_numbers_out_of_range_are_told_in_one_line(convert, good, bad, capsys):
    parser = CommandParser("test")
    parser.add_argument("--number", type=convert)
    for text in good:
        assert parser.parse_args([f"--number={text}"]).number == float(text)
    for text in bad:
        with pytest.raises(SystemExit) as stopped:
            parser.parse_args([f"--number={text}"])
        assert stopped.value.code == 2
        message = capsys.readouterr().err
        assert "--number" in message
        assert message.count("\n") == 1
