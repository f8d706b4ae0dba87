import pytest

from data_preprocessing.common.text import counted


@pytest.mark.parametrize(("number", "words"), [(0, "0 cases"), (1, "1 case"), (2, "2 cases")])
def test_one_has_no_plural(number, words):
    assert counted(number, "case") == words
