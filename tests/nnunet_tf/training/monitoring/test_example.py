import numpy as np
import pytest

from data_preprocessing.shards.format import image_path, label_path
from nnunet_tf.training.monitoring.example import Example, draw_example
from tests.data_preprocessing.samples import middle_of_colour, write_square


@pytest.mark.parametrize(("suffix", "upright"), [(".png", True), (".nii.gz", False)])
def test_pictures_are_drawn_as_they_are_stored(tmp_path, monkeypatch, suffix, upright):
    monkeypatch.setattr("matplotlib.figure.Figure.legend", lambda *_, **__: None)
    shards, plan = write_square(tmp_path, suffix)
    label = np.load(label_path(shards, "square"))[..., 0]
    example = Example("square", np.load(image_path(shards, "square")), label, label)
    draw_example(tmp_path / "validation.png", example, plan, shards, "")
    row, column = middle_of_colour(tmp_path / "validation.png")
    assert (row < 0.5) == upright
    assert (column < 0.5) == upright
