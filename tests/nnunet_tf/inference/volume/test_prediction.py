import numpy as np
import pytest

from data_preprocessing.common.task import StatedRegion
from data_preprocessing.planning.plan import make_plan
from data_preprocessing.shards.prepare import Placement
from nnunet_tf.inference.volume.prediction import Canvas, Wanted
from tests.data_preprocessing.samples import make_config, make_dataset

SHAPE = (5, 6, 7)  # (z, y, x)
NUMBERS = np.array([0, 4, 300], np.uint16)
INSIDE = np.s_[1:4, 2:6, 3:5]  # the box, which follows in network order (x, z, y)
PLACEMENT = Placement(
    shape=(7, 5, 6),
    spacing=(2.0, 1.0, 1.0),
    box=((3, 5), (1, 4), (2, 6)),
    cropped_shape=(2, 3, 4),
    prepared_shape=(2, 3, 4),
    prepared_spacing=(2.0, 1.0, 1.0),
)


def plan_of(**changes):
    labels = {0: "background", 4: "organ", 300: "lesion"}
    plan = make_plan(make_config(spacing_3d=(1.0, 1.0, 2.0), **changes), make_dataset(labels=labels), 3)
    assert plan.axis_order == (2, 0, 1)
    return plan


def in_network_order(whole):
    return whole[INSIDE].transpose(2, 0, 1)


def test_decisions_become_label_numbers_inside_the_box():
    canvas = Canvas(SHAPE, PLACEMENT, plan_of(), NUMBERS, Wanted())
    decisions = np.random.default_rng(0).integers(0, 3, (2, 3, 4))
    for plane in range(2):
        canvas.draw_decisions(plane, slice(0, 1), decisions[plane, :1])
        canvas.draw_decisions(plane, slice(1, 3), decisions[plane, 1:])
    labels = canvas.prediction().labels
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(in_network_order(labels), NUMBERS[decisions])
    assert np.count_nonzero(labels) == np.count_nonzero(decisions)


@pytest.mark.parametrize("regions", [None, {"one": StatedRegion(labels=(4,), value=1)}])
def test_outside_the_box_the_background_is_certain(regions, tmp_path):
    plan = plan_of(regions=regions)
    canvas = Canvas(SHAPE, PLACEMENT, plan, NUMBERS, Wanted(tmp_path / "kept.npy", uncertainty=True))
    shares = np.random.default_rng(0).random((plan.outputs, 2, 3, 4))
    for plane in range(2):
        canvas.draw_probabilities(plane, slice(0, 3), shares[:, plane])
        canvas.draw_uncertainty(plane, slice(0, 3), shares[0, plane], shares[0, plane] / 2)
    prediction = canvas.prediction()
    outside = np.ones(SHAPE, bool)
    outside[INSIDE] = False
    assert prediction.probabilities.shape == (plan.outputs, *SHAPE)
    for output, kept in enumerate(prediction.probabilities):
        np.testing.assert_array_equal(in_network_order(kept), np.rint(shares[output] * 65535))
        assert (kept[outside] == (65535 if output == 0 and not regions else 0)).all()
    for whole, expected in ((prediction.entropy, shares[0]), (prediction.spread, shares[0] / 2)):
        np.testing.assert_allclose(in_network_order(whole), expected, rtol=1e-6)
        assert not whole[outside].any()


def test_probabilities_stay_in_their_file(tmp_path):
    path = tmp_path / "kept.npy"
    prediction = Canvas(SHAPE, PLACEMENT, plan_of(), NUMBERS, Wanted(path)).prediction()
    assert isinstance(prediction.probabilities, np.memmap)
    np.testing.assert_array_equal(np.load(path, allow_pickle=False), prediction.probabilities)
    assert (prediction.entropy, prediction.spread) == (None, None)
