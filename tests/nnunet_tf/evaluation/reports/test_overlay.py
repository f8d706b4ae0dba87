import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from data_preprocessing.common.colors import distinct_colors
from data_preprocessing.synthetic.phantom import Options, sample_case
from nnunet_tf.evaluation.reports.best_slices import best_slices
from nnunet_tf.evaluation.reports.display import CT_WINDOWS, Look, display_window, scale_length
from nnunet_tf.evaluation.reports.outlines import outlines
from nnunet_tf.evaluation.reports.overlay import save_overlay
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


def test_a_single_voxel_does_not_draw_the_choice_to_the_outermost_slice():
    grid = np.indices((41, 41, 41)) - 20
    labels = (np.sqrt((grid**2).sum(axis=0)) <= 18).astype(np.uint8)
    middle = best_slices(labels, [1, 2])
    assert middle == (20, 20, 20)
    labels[2, 20, 20] = 2
    assert best_slices(labels, [1, 2])[0] == 20


def test_the_slices_show_most_of_structures_of_one_size():
    labels = np.random.default_rng(0).choice([0, 0, 0, 1, 2, 9], (7, 8, 9))
    for axis, index in enumerate(best_slices(labels, [1, 2, 9])):
        areas = (np.moveaxis(labels, axis, 0) > 0).sum(axis=(1, 2))
        assert areas[index] >= np.percentile(areas, 70)


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
    save_overlay(tmp_path / "flat.png", image, (1, 1, 1), label, {1: "square"}, "", look=Look(as_stored=as_stored))
    row, column = middle_of_colour(tmp_path / "flat.png")
    assert (row < 0.5) == high
    assert (column < 0.5) == left


def test_ct_is_shown_through_the_window_of_what_is_segmented():
    image = np.full((20, 20, 20), -1000, np.float32)
    labels = np.zeros(image.shape, np.uint8)
    for value, name in ((-800, "lung"), (50, "soft tissue"), (700, "bone")):
        labels[:] = 0
        labels[5:10, 5:10, 5:10] = 3
        image[labels == 3] = value
        assert display_window(image, labels, is_ct=True) == CT_WINDOWS[name]
    assert display_window(image.transpose(2, 0, 1), labels, is_ct=True) == CT_WINDOWS["bone"]


def test_other_scans_are_shown_by_percentiles_of_what_is_not_background():
    image = np.zeros((30, 30, 30), np.float32)
    image[10:20, 10:20, 10:20] = np.random.default_rng(0).uniform(100, 200, (10, 10, 10))
    low, high = display_window(image, image > 150, is_ct=False)
    assert 100 <= low < 110
    assert 190 < high <= 200
    low, high = display_window(np.zeros((3, 3, 3), np.float32), np.zeros((3, 3, 3), np.uint8), is_ct=False)
    assert low < high


def test_a_border_of_two_structures_is_drawn_once():
    labels = np.zeros((10, 12), int)
    labels[2:8, 2:6], labels[2:8, 6:10] = 1, 2
    first, second = (np.concatenate(outlines(labels, number, [1, 2])) for number in (1, 2))
    between = 5.5
    assert not np.any(first[:, 0] == between)
    assert np.count_nonzero(second[:, 0] == between) >= 6
    assert np.nanmin(first[:, 0]) == 1.5


def colors_seen(path, names_and_colors):
    """Which colors a picture has, nearly pure."""
    pixels = imread(path)[..., :3].reshape(-1, 3)
    return {
        name
        for name, color in names_and_colors.items()
        if (np.abs(pixels - np.array(tuple(bytes.fromhex(color[1:]))) / 255).max(axis=1) < 0.1).any()
    }


def test_the_outline_of_the_truth_has_the_color_of_its_structure_and_gaps(tmp_path, monkeypatch):
    monkeypatch.setattr("matplotlib.figure.Figure.legend", lambda *_, **__: None)
    truth = np.zeros((60, 60, 60), np.uint8)
    truth[10:50, 10:50, 10:30], truth[10:50, 10:50, 30:50] = 1, 2
    names = {1: "one", 2: "two"}
    colors = dict(zip(names.values(), distinct_colors(2), strict=True))
    image = np.zeros(truth.shape, np.float32)
    save_overlay(tmp_path / "truth.png", image, (1, 1, 1), np.zeros_like(truth), names, "", truth=truth)
    assert colors_seen(tmp_path / "truth.png", colors) == {"one", "two"}
    save_overlay(tmp_path / "filled.png", image, (1, 1, 1), truth, names, "", truth=np.zeros_like(truth))
    assert colors_seen(tmp_path / "filled.png", colors) == set()  # transparent, without lines of its own


def test_planes_keep_their_physical_shape_at_one_scale(tmp_path, monkeypatch):
    boxes, drawn = [], []
    savefig = Figure.savefig

    def look_at(self, *words, **more):
        savefig(self, *words, **more)
        boxes.extend(axes.get_window_extent() for axes in self.axes)
        drawn.extend([text.get_text() for text in axes.texts] for axes in self.axes)

    monkeypatch.setattr(Figure, "savefig", look_at)
    label = np.zeros((20, 60, 40), np.uint8)  # 100 mm high, 60 mm deep, 80 mm wide
    label[5:15, 10:50, 10:30] = 1
    save_overlay(tmp_path / "case.png", label.astype(np.float32), (5, 1, 2), label, {1: "organ"}, "case")
    sizes = [(box.width, box.height) for box in boxes]
    scale = sizes[0][0] / 80
    for (width, height), expected in zip(sizes, [(80, 60), (80, 100), (60, 100)], strict=True):
        assert width / scale == pytest.approx(expected[0], rel=0.03)
        assert height / scale == pytest.approx(expected[1], rel=0.03)
    assert [texts[:4] for texts in drawn] == [["R", "L", "A", "P"], ["R", "L", "S", "I"], ["P", "A", "S", "I"]]
    assert all(texts[4].endswith(" mm") for texts in drawn)


@pytest.mark.parametrize(("width", "expected"), [(400, 100), (60, 20), (30, 10), (0.9, 0.2), (16, 5)])
def test_the_bar_has_a_round_length(width, expected):
    assert scale_length(width) == pytest.approx(expected)


def test_a_hundred_structures_each_have_a_color_and_a_place_in_the_legend(tmp_path):
    label = np.zeros((30, 30, 30), np.uint8)
    label[5:25, 5:25, 5:25] = np.arange(1, 101).repeat(80).reshape(20, 20, 20)
    save_overlay(
        tmp_path / "case.png", label.astype(np.float32), (1, 1, 1), label,
        {number: f"structure {number}" for number in range(1, 101)}, "case",
    )  # fmt: skip
    assert (tmp_path / "case.png").stat().st_size > 0
