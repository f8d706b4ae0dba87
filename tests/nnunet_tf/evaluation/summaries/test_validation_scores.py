"""`validation.json`: what is read back, and what is refused."""

import json

import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import write_model
from nnunet_tf.evaluation.metrics.dice import summarize
from nnunet_tf.evaluation.summaries.folds import over_folds
from nnunet_tf.evaluation.summaries.validation_scores import EpochScores, ValidationScores, read_validation


def scores(best, last=None):
    """A validation of one case and class, `best` and `last` being percent."""
    summary = summarize(["a"], ["organ"], np.array([[[best, 100, 100]]]))
    known = None if last is None else EpochScores(epoch=5, mean_dice=last / 100, classes={"organ": last / 100})
    return ValidationScores(**dict(summary), epoch=2, last=known)


def test_scores_read_back_and_those_of_older_versions_too(tmp_path):
    for written in (scores(90, 80), scores(90)):
        write_model(tmp_path / "validation.json", written)
        assert read_validation(tmp_path, "train again") == written
    content = json.loads(scores(90).model_dump_json(exclude={"epoch", "last"}))
    (tmp_path / "validation.json").write_text(json.dumps(content))
    assert read_validation(tmp_path, "train again").last is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"mean_dice": 1.5}, "Dice"),
        ({"mean_dice": float("nan")}, "Dice"),
        ({"cases": {"a": {"organ": -0.1}}}, "Dice"),
        ({"cases": {"a": {}}}, "cases"),
        ({"cases": {"a": {"lesion": 0.5}}}, "cases"),
        ({"classes": []}, "classes"),
        ({"last": {"epoch": 5, "mean_dice": 0.5, "classes": {"lesion": 0.5}}}, "last"),
        ({"last": {"epoch": -1, "mean_dice": 0.5, "classes": {"organ": 0.5}}}, "last.epoch"),
        ({"last": {"epoch": 1, "mean_dice": 7, "classes": {"organ": 0.5}}}, "last.mean_dice"),
    ],
)
def test_scores_that_do_not_hold_together_are_refused(tmp_path, changes, field):
    path = tmp_path / "validation.json"
    path.write_text(json.dumps(json.loads(scores(90, 80).model_dump_json()) | changes))
    with pytest.raises(UserError, match=rf"^{path}: .*{field}.*; train again$"):
        read_validation(tmp_path, "train again")


def test_the_last_epochs_of_all_folds_stand_beside_the_best():
    result = over_folds([scores(90, 80), scores(80, 75)])
    assert result.all_classes.folds == [0.9, 0.8]
    assert result.last.all_classes.folds == result.last.classes["organ"].folds == [0.8, 0.75]
    assert result.last.all_classes.mean == pytest.approx(0.775)
    assert result.last.all_classes.deviation == pytest.approx(np.std([0.8, 0.75], ddof=1))
    assert over_folds([scores(90, 80), scores(80)]).last is None
