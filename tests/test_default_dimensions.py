"""A task with a 2D network only needs no --dim in any command."""

import warnings

import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.synthetic.defects import Options, write_dataset
from nnunet_tf.commands import benchmark, predict, preprocess_script, train
from nnunet_tf.commands.start import run_command


def run_main(monkeypatch, module, *words):
    monkeypatch.setattr(module, "stop_in_order", lambda: None, raising=False)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # predict.py has its own
    run_command(module, [*map(str, words)])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder / "Task21_Surface", Options(cases=4, size=32))
    return folder


def test_preprocess(data, monkeypatch):
    words = ["--task", "21", "--data", data, "--nfolds", 2, "--verify"]
    run_main(monkeypatch, preprocess_script, *words)
    with pytest.raises(UserError, match="1 error"):
        run_main(monkeypatch, preprocess_script, *words, "--dim", 3)


@pytest.mark.parametrize(
    ("module", "words"),
    [(train, ["--shards"]), (predict, ["--results"]), (benchmark, ["--data", "shards", "--shards"])],
)
def test_what_is_looked_for_is_2d(tmp_path, monkeypatch, module, words):
    for options, name in (([], "task21_2d"), (["--dim", "3"], "task21_3d")):
        with pytest.raises(UserError, match=name):
            run_main(monkeypatch, module, "--task", "21", *options, *words, tmp_path)
