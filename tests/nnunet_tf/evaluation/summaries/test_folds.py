import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import write_model
from nnunet_tf.evaluation.metrics.dice import summarize
from nnunet_tf.evaluation.summaries.folds import over_folds, pool_folds
from nnunet_tf.inference.models.folder import fold_folders
from nnunet_tf.inference.models.trained_cases import TrainedCases


def summary(*dice):
    """Of one case, with that Dice for each class; None: the class is absent."""
    counts = [[0, 0, 0] if score is None else [round(100 * score), 100, 100] for score in dice]
    return summarize(["case"], [f"class_{index}" for index in range(len(dice))], np.array([counts]))


def test_mean_and_deviation_are_those_of_the_folds():
    folds = [(0.8, 0.6), (0.9, 0.7), (0.7, 0.9)]
    result = over_folds([summary(*dice) for dice in folds])
    first = result.classes["class_0"]
    assert first.folds == [0.8, 0.9, 0.7]
    assert first.mean == pytest.approx(0.8)
    assert first.deviation == pytest.approx(np.std([0.8, 0.9, 0.7], ddof=1))
    means = [np.mean(dice) for dice in folds]
    assert result.all_classes.mean == pytest.approx(np.mean(means))
    assert result.all_classes.deviation == pytest.approx(np.std(means, ddof=1))


def test_a_class_absent_in_one_fold_is_averaged_over_the_others():
    result = over_folds([summary(0.8, None), summary(0.6, 0.5)])
    lone = result.classes["class_1"]
    assert (lone.mean, lone.deviation, lone.folds) == (0.5, None, [None, 0.5])


def validated(folder, fold, counts, names=("liver", "tumour")):
    """Writes what training leaves of a fold; `counts` is `{case: rows}`."""
    (folder / f"fold_{fold}").mkdir(parents=True)
    result = summarize(list(counts), list(names), np.array(list(counts.values())))
    write_model(folder / f"fold_{fold}" / "validation.json", result)


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "task04_3d"
    validated(folder, 0, {"a": [[2, 4, 4], [1, 1, 3]], "b": [[4, 4, 4], [0, 0, 5]]})
    validated(folder, 10, {"c": [[3, 4, 4], [0, 7, 0]]})
    validated(folder, 2, {"d": [[1, 4, 4], [0, 0, 0]], "e": [[4, 4, 4], [0, 2, 2]]})
    validated(folder, "all", {"a": [[4, 4, 4], [4, 4, 4]]})
    return folder


def test_the_cases_of_all_folds_are_pooled(results):
    result = pool_folds(results, worst=2)
    liver, tumour = result.classes
    scores = [0.5, 1, 0.75, 0.25, 1]
    assert (liver.dice.mean, liver.dice.median) == (pytest.approx(np.mean(scores)), 0.75)
    assert liver.dice.deviation == pytest.approx(np.std(scores, ddof=1))
    assert (tumour.scored, tumour.missed, tumour.false_alarms) == (4, 1, 1)
    assert tumour.mean_dice == pytest.approx(0.5 / 4)  # e: predicted elsewhere, neither missed nor a false alarm
    assert result.mean_dice == pytest.approx((liver.mean_dice + tumour.mean_dice) / 2)
    assert [each.case for each in liver.worst] == ["d", "a"]
    assert list(result.cases) == ["a", "b", "d", "e", "c"]
    assert result.cases["d"] == {"liver": 0.25, "tumour": None}


def test_beside_them_stands_the_mean_of_the_folds(results):
    folds = pool_folds(results, worst=1).folds
    assert folds.classes["liver"].folds == [0.75, 0.625, 0.75]
    assert folds.classes["liver"].mean == pytest.approx(np.mean([0.75, 0.625, 0.75]))


def test_folds_are_taken_by_number_without_the_one_of_all_cases(results):
    assert [path.name for path in fold_folders(results)] == ["fold_0", "fold_2", "fold_10"]


def test_a_case_in_two_folds_is_refused(results):
    validated(results, 3, {"a": [[4, 4, 4], [4, 4, 4]]})
    with pytest.raises(UserError, match=r"fold_3.*case a is in .*fold_0"):
        pool_folds(results, worst=1)


def test_folds_of_other_classes_are_refused(results):
    validated(results, 3, {"z": [[4, 4, 4]]}, ["liver"])
    with pytest.raises(UserError, match=r"fold_3.*other classes"):
        pool_folds(results, worst=1)


def test_folds_trained_on_different_cases_are_refused_and_these_are_named(results):
    first = TrainedCases(training={"c": "1", "d": "2", "e": "3"}, validation={"a": "4", "b": "5"})
    write_model(results / "fold_0" / "cases.json", first)
    pool_folds(results, worst=1)  # of the others it is not known
    second = TrainedCases(training={"a": "4", "b": "5", "c": "1"}, validation={"d": "2", "e": "3"})
    write_model(results / "fold_2" / "cases.json", second)
    pool_folds(results, worst=1)
    for other, told in (({"f": "6"}, "added: f"), ({"c": "other"}, "changed: c")):
        write_model(results / "fold_10" / "cases.json", TrainedCases(training=first.checksums | other, validation={}))
        with pytest.raises(UserError, match=rf"fold_10.*{told}"):
            pool_folds(results, worst=1)


def test_a_fold_without_validation_is_refused(results):
    (results / "fold_2" / "validation.json").unlink()
    with pytest.raises(UserError, match=r"fold_2.*train that fold"):
        pool_folds(results, worst=1)


def test_a_folder_without_folds_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no fold_0"):
        pool_folds(tmp_path, worst=1)
