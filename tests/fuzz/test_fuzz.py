"""The short run: `python -m tests.fuzz --count 500` is the long one."""

import numpy as np
import pytest

from tests.fuzz import images
from tests.fuzz.harness import Report, fuzz
from tests.fuzz.mutations import mutate
from tests.fuzz.targets import Target, make_targets

COUNT = 6  # of each kind; those of every seed once found are in the tests of their formats


@pytest.fixture(scope="module")
def targets(tmp_path_factory) -> list[Target]:
    return make_targets(tmp_path_factory.mktemp("valid"))


def test_what_is_damaged_is_read_or_refused_in_one_line(targets, tmp_path):
    report = Report()
    for target in targets:
        fuzz(target, COUNT, 1000, tmp_path, report)
    assert report.failures == []


@pytest.mark.parametrize("name", images.WRITERS)
def test_what_is_not_damaged_is_read(targets, tmp_path, name):
    (target,) = [target for target in targets if target.name == name]
    (tmp_path / name).write_bytes(target.content)
    target.read(tmp_path / name)


def test_the_same_seed_does_the_same_damage():
    content = bytes(range(256)) * 4
    assert mutate(content, np.random.default_rng(3), False) == mutate(content, np.random.default_rng(3), False)
