"""A model's folder is taken where its files are those that were written together."""

import itertools
import json
from pathlib import Path

import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.inference.models.manifest import (
    MODEL_MANIFEST_NAME,
    check_model_files,
    replacing_model,
)

PLAN, NETWORK, WEIGHTS, LAST = "plan.json", "network.json", "model.weights.h5", "last.weights.h5"


class Killed(BaseException):
    """Stands for kill -9."""


def save(folder: Path, plan: str, weights: str, best: bool = True) -> None:
    names = (PLAN, NETWORK, LAST, *((WEIGHTS,) if best else ()))
    with replacing_model(folder, names, () if best else (WEIGHTS,), same=(PLAN, NETWORK)) as prefix:
        for name in names:
            text = plan if name in (PLAN, NETWORK) else weights
            prefix.with_name(prefix.name + name).write_text(text)


def content(folder: Path) -> tuple[str, str] | None:
    """What a reader takes: plan and weights; None where it is refused."""
    try:
        check_model_files(folder, (PLAN, NETWORK, WEIGHTS), "")
    except UserError as error:
        assert str(folder) in str(error)
        return None
    return (folder / PLAN).read_text(), (folder / WEIGHTS).read_text()


def test_files_that_belong_together_are_taken(tmp_path):
    save(tmp_path, "plan", "one")
    save(tmp_path, "plan", "two", best=False)
    assert content(tmp_path) == ("plan", "one")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([PLAN, NETWORK, WEIGHTS, LAST, "model.json"])


def test_a_model_without_a_manifest_is_taken_as_it_is(tmp_path):
    save(tmp_path, "plan", "one")
    (tmp_path / MODEL_MANIFEST_NAME).unlink()
    (tmp_path / WEIGHTS).write_text("another")
    assert content(tmp_path) == ("plan", "another")
    save(tmp_path, "plan", "next", best=False)
    assert content(tmp_path) == ("plan", "another")


@pytest.mark.parametrize("name", [PLAN, NETWORK, WEIGHTS])
@pytest.mark.parametrize("changed", ["oth", "other"])
def test_a_file_that_was_changed_is_refused(tmp_path, name, changed):
    save(tmp_path, "plans", "seven")
    (tmp_path / name).write_text(changed)
    with pytest.raises(UserError, match=name):
        check_model_files(tmp_path, (PLAN, NETWORK, WEIGHTS), "")


@pytest.mark.parametrize("plan", ["plan", "new plan"])
def test_killed_anywhere_the_folder_is_one_model_or_refused(tmp_path, monkeypatch, plan):
    """Every step that changes a file under its final name is the last one, in turn."""
    replace = Path.replace
    for stop in itertools.count(1):
        folder = tmp_path / str(stop)
        folder.mkdir()
        save(folder, "plan", "old")
        steps = itertools.count(1)

        def killed(path: Path, target: Path, stop: int = stop, steps=steps) -> Path:
            if next(steps) == stop:
                raise Killed
            return replace(path, target)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", killed)
            try:
                save(folder, plan, "new")
            except Killed:
                assert content(folder) in {("plan", "old"), (plan, "new"), None if plan != "plan" else ("plan", "old")}
                if plan == "plan":
                    assert content(folder) is not None
                save_again(folder, plan)
                continue
        assert content(folder) == (plan, "new")
        break
    assert stop > 5


def save_again(folder: Path, plan: str) -> None:
    save(folder, plan, "newest")
    assert content(folder) == (plan, "newest")


def test_weights_of_an_older_model_are_never_taken_for_the_new_ones(tmp_path, monkeypatch):
    """A second run over what a killed first one left, killed in its turn."""
    save(tmp_path, "plan", "old")
    replace, targets = Path.replace, []

    def killed(path: Path, target: Path) -> Path:
        targets.append(target.name)
        if target.name == LAST:
            raise Killed
        return replace(path, target)

    for _ in range(2):
        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(Path, "replace", killed)
            save(tmp_path, "new plan", "new")
        assert content(tmp_path) is None
    assert json.loads((tmp_path / MODEL_MANIFEST_NAME).read_text())["complete"] is False


def test_a_damaged_manifest_is_refused(tmp_path):
    save(tmp_path, "plan", "one")
    (tmp_path / MODEL_MANIFEST_NAME).write_text("{")
    assert content(tmp_path) is None
