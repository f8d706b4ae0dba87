import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_preprocessing.common.defaults import FOLDS
from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.splits import StatedFold
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


GROUPS = st.lists(st.integers(0, 12), min_size=4, max_size=40).filter(lambda numbers: len(set(numbers)) >= 4)


@given(GROUPS, st.integers(2, 4))
def test_a_group_is_never_split(numbers, folds):
    groups = {f"case_{index:02d}": f"patient {number}" for index, number in enumerate(numbers) if number}
    cases = [f"case_{index:02d}" for index in range(len(numbers))]
    parts = [split(cases, fold, folds, groups) for fold in range(folds)]
    assert sorted(name for part in parts for name in part.validation) == cases
    for part in parts:
        assert sorted(part.training + part.validation) == cases
        assert part.training and part.validation
        assert not {groups.get(name, name) for name in part.training} & {
            groups.get(name, name) for name in part.validation
        }


@given(GROUPS, st.randoms(use_true_random=False))
def test_groups_do_not_depend_on_the_order_of_the_cases(numbers, order):
    groups = {f"case_{index:02d}": str(number) for index, number in enumerate(numbers)}
    shuffled = list(groups)
    order.shuffle(shuffled)
    assert split(shuffled, 1, 3, groups) == split(list(groups), 1, 3, dict(reversed(groups.items())))


def test_folds_of_groups_are_of_about_one_size():
    groups = {name: str(index // 4) for index, name in enumerate(CASES)}
    sizes = [len(split(CASES, fold, 3, groups).validation) for fold in range(3)]
    assert sorted(sizes) == [7, 8, 8]


def test_groups_of_one_case_each_change_nothing():
    assert split(CASES, 3, groups={name: name.upper() for name in CASES}) == split(CASES, 3)


def test_fewer_groups_than_folds_are_refused():
    with pytest.raises(UserError, match="--nfolds 2"):
        split(CASES, 0, groups={name: str(index % 2) for index, name in enumerate(CASES)})


def test_stated_folds_are_taken_as_they_are():
    stated = (StatedFold(train=("b", "a"), val=("c",)), StatedFold(train=("c",), val=("a",)))
    assert split(["a", "b", "c"], 0, stated=stated) == Fold(("a", "b"), ("c",))
    assert split(["a", "b", "c"], 1, stated=stated) == Fold(("c",), ("a",))
    assert split(["a", "b", "c"], "all", stated=stated) == Fold(("a", "b", "c"), ())
    with pytest.raises(UserError, match="--fold 2"):
        split(["a", "b", "c"], 2, stated=stated)
