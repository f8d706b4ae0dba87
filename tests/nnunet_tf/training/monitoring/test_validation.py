"""The cases of a validation, shared out among workers."""

import numpy as np
import pytest

from nnunet_tf.training.distributed import Alone
from nnunet_tf.training.monitoring.validation import Validation
from tests.nnunet_tf.data.samples import write_shard
from tests.nnunet_tf.inference.samples import threshold_network, tiny_plan

CASES = ("a", "b", "c")


class One(Alone):
    """Worker `rank` of `size`, which keeps what it gives to a sum; `others` is what the others give."""

    def __init__(self, rank=0, size=1, others=0):
        self.rank, self.size, self.others = rank, size, others

    def sum(self, array):
        self.given = array
        return array + self.others


@pytest.fixture
def validate(tmp_path):
    random = np.random.default_rng(0)
    for name in CASES:
        image = random.normal(1.5, 2, size=(1, 18, 20))
        write_shard(tmp_path, name, image, image + random.normal(size=image.shape) > 2)
    plan = tiny_plan(2, patch_size=(16, 16))

    def validate(group):
        validation = Validation(threshold_network(plan), plan, tmp_path, CASES, group)
        return validation, validation.scores()

    return validate


def test_each_case_is_scored_by_one_worker_and_all_get_the_scores_of_one_alone(validate):
    alone, first, second = One(), One(0, 2), One(1, 2)
    _, whole = validate(alone)
    assert 0 < whole.mean_dice < 1
    scored = [validate(group)[0].example is not None for group in (first, second)]
    assert scored == [True, False]
    assert [group.given.any(axis=(1, 2)).tolist() for group in (first, second)] == [
        [True, False, True],
        [False, True, False],
    ]
    np.testing.assert_array_equal(first.given + second.given, alone.given)
    for rank, other in enumerate((second, first)):
        _, summary = validate(One(rank, 2, others=other.given))
        assert summary == whole
