import numpy as np
import pytest
from matplotlib.image import imread

from data_preprocessing.synthetic.phantom import Options, sample_case
from nnunet_tf.evaluation.reports.overlay import best_slices, save_overlay
from tests.data_preprocessing.samples import middle_of_colour


def test_the_slices_show_the_small_structure_beside_the_large_one():
    labels = np.zeros((20, 20, 20), int)
    labels[2:18, 2:18, 2:18] = 1
    labels[12:14, 5:7, 8:10] = 2
    z, y, x = best_slices(labels, [1, 2])
    assert (labels[z] == 2).any()
    assert (labels[:, y] == 2).any()
    assert (labels[:, :, x] == 2).any()


def test_every_plane_cuts_the_largest_structure():
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[2:9, 2:9, 2:9] = 3
    for number in (1, 2):  # two small ones beyond it, that one slice would show whole
        labels[15, 15, 10 + number] = number
    z, y, x = best_slices(labels, [1, 2, 3])
    assert (labels[z] == 3).any()
    assert (labels[:, y] == 3).any()
    assert (labels[:, :, x] == 3).any()


def test_the_best_slices_are_those_of_the_largest_sum_of_shares():
    labels = np.random.default_rng(0).choice([0, 0, 0, 1, 2, 9], (7, 8, 9))
    for axis, index in enumerate(best_slices(labels, [1, 2, 9])):
        planes = np.moveaxis(labels, axis, 0)
        shares = [sum((plane == number).sum() / (labels == number).sum() for number in (1, 2, 9)) for plane in planes]
        assert shares[index] == pytest.approx(max(shares))


def test_the_legend_names_what_is_seen_on_the_planes(tmp_path, monkeypatch):
    named = []
    monkeypatch.setattr("matplotlib.figure.Figure.legend", lambda self, handles, **_: named.extend(handles))
    label = np.zeros((9, 9, 9), np.uint8)
    label[1:8, 1:8, 1:8] = 1
    label[0, 0, 0] = 2
    names = {1: "seen", 2: "elsewhere", 3: "nowhere"}
    save_overlay(tmp_path / "case.png", label.astype(float), (1, 1, 1), label, names, "case")
    assert [handle.get_label() for handle in named] == ["seen"]


def test_without_structures_the_middle_is_shown():
    assert best_slices(np.zeros((9, 4, 5), int), [1]) == (4, 2, 2)


def test_the_picture_is_coloured_where_structures_are(tmp_path):
    phantom = sample_case(0, Options(field_of_view_mm=60), "RAS", (2, 2, 4))
    image, label = phantom.image.transpose(2, 1, 0), phantom.label.transpose(2, 1, 0)
    names = {1: "organ", 2: "lesion"}
    save_overlay(tmp_path / "with.png", image, (4, 2, 2), label, names, "case", truth=label)
    save_overlay(tmp_path / "without.png", image, (4, 2, 2), np.zeros_like(label), {}, "case")
    coloured = [np.ptp(imread(tmp_path / name)[..., :3], axis=-1) > 0.2 for name in ("with.png", "without.png")]
    assert coloured[0].mean() > 0.01
    assert not coloured[1].any()


@pytest.mark.parametrize(("as_stored", "high", "left"), [(True, True, True), (False, False, False)])
def test_a_single_slice_is_drawn_alone_as_stored_or_as_radiologists_see_it(
    tmp_path, monkeypatch, as_stored, high, left
):
    monkeypatch.setattr("matplotlib.figure.Figure.legend", lambda *_, **__: None)
    label = np.zeros((1, 40, 40), int)
    label[0, 2:12, 2:12] = 1  # first rows, first columns
    image = label.astype(float)
    save_overlay(tmp_path / "flat.png", image, (1, 1, 1), label, {1: "square"}, "", as_stored=as_stored)
    row, column = middle_of_colour(tmp_path / "flat.png")
    assert (row < 0.5) == high
    assert (column < 0.5) == left
