import pytest

from data_preprocessing.common.defaults import FOLDS
from data_preprocessing.common.errors import UserError
from nnunet_tf.data.folds import Fold, split

CASES = [f"case_{index:02d}" for index in range(23)]


def test_every_case_is_validated_in_exactly_one_fold():
    validated = [name for fold in range(FOLDS) for name in split(CASES, fold).validation]
    assert sorted(validated) == CASES


@pytest.mark.parametrize("fold", range(FOLDS))
def test_training_is_what_validation_leaves(fold):
    parts = split(CASES, fold)
    assert sorted(parts.training + parts.validation) == CASES


def test_fold_all_learns_from_every_case_and_validates_none():
    assert split(CASES, "all") == Fold(training=tuple(CASES), validation=())
    assert split(CASES[:2][::-1], "all") == Fold(tuple(CASES[:2]), ())  # however few


def test_folds_do_not_depend_on_the_order_of_the_cases():
    assert split(CASES, 2) == split(CASES[::-1], 2)


def test_folds_are_those_of_numpy_random_state_12345():
    # nnU-Net's and NVIDIA's folds: KFold(5, shuffle=True, random_state=12345), here worked out with NumPy alone.
    import numpy as np

    order = np.arange(len(CASES))
    np.random.RandomState(12345).shuffle(order)
    assert split(CASES, 0).validation == tuple(CASES[index] for index in sorted(order[:5]))


def test_too_few_cases_are_refused():
    with pytest.raises(UserError, match="4 cases cannot be split into 5 folds"):
        split(CASES[:4], 0)
