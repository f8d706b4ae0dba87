"""The rooms of the code: few, in no circle, and as the picture shows them."""

import pytest

from scripts.draw_rooms import PICTURE, draw, find_levels, read_arrows


def test_no_rooms_import_each_other_in_a_circle():
    find_levels(read_arrows())
    with pytest.raises(ValueError, match="a -> b -> a"):
        find_levels({"a": {"b"}, "b": {"a"}})


def test_data_preprocessing_has_at_most_eight_rooms():
    assert len([room for room in read_arrows() if room.startswith("data_preprocessing.")]) <= 8


def test_the_picture_is_of_the_code_as_it_is():
    assert PICTURE.read_text(encoding="utf-8") == draw(read_arrows()), "run: python scripts/draw_rooms.py"


def test_imports_count_wherever_they_stand(tmp_path):
    for name, text in {
        "nnunet_tf/a/one.py": "import nnunet_tf.b.two\ndef f():\n    from data_preprocessing.c import three\n",
        "nnunet_tf/b/two.py": "import os\n",
        "data_preprocessing/c/three.py": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    arrows = read_arrows(tmp_path)
    assert arrows == {
        "nnunet_tf.a": {"nnunet_tf.b", "data_preprocessing.c"},
        "nnunet_tf.b": set(),
        "data_preprocessing.c": set(),
    }
    assert draw(arrows).count("marker-end") == 2
