import numpy as np
import pytest
from scipy.special import entr, expit, softmax

from nnunet_tf.inference.volume.decisions import decided_outputs, entropy, last_region, likeliest, probabilities


def random_logits(outputs=5, scale=4.0):
    return (scale * np.random.default_rng(0).normal(size=(outputs, 7, 9))).astype(np.float32)


def test_the_likeliest_class_is_decided_on():
    logits = random_logits()
    np.testing.assert_array_equal(likeliest(iter(logits)), logits.argmax(axis=0))


def test_more_classes_than_a_byte_holds_can_be_decided_on():
    logits = np.zeros((300, 1, 2), np.float32)
    logits[299, 0, 1] = 1
    assert likeliest(logits).tolist() == [[0, 299]]


def test_a_later_region_overwrites_an_earlier_one_and_none_leaves_the_background():
    logits = np.array([[-1, -1, -1], [1, -1, -1], [1, 2, -1], [1, 2, 3], [9, -1, 0.1], [0, 0, 0]], np.float32).T
    assert last_region(logits, 0).tolist() == [0, 1, 2, 3, 3, 0]
    assert last_region(logits[::-1], 0).tolist() == [0, 3, 3, 3, 3, 0]
    assert last_region(expit(logits), 0.5).tolist() == [0, 1, 2, 3, 3, 0]


def test_a_decision_rests_on_its_class_or_on_the_likeliest_region_where_none_is_written():
    shares = np.array([[0.4, 0.9, 0.9], [0.1, 0.6, 0.2]], np.float32)
    assert decided_outputs(np.array([0, 2, 1]), shares, regions=True).tolist() == [0, 1, 0]
    assert decided_outputs(np.array([0, 1, 1]), shares, regions=False).tolist() == [0, 1, 1]


@pytest.mark.parametrize("scale", [1, 300])
def test_probabilities_are_softmax_and_for_regions_sigmoid(scale):
    logits = random_logits(scale=scale)
    expected = softmax(logits.astype(np.float64), axis=0)
    np.testing.assert_allclose(probabilities(logits.copy(), regions=False), expected, atol=1e-6)
    of_regions = probabilities(logits.copy(), regions=True)
    np.testing.assert_allclose(of_regions, expit(logits.astype(np.float64)), atol=1e-6)


def test_entropy_is_in_nats_and_none_where_all_is_certain():
    shares = probabilities(random_logits(), regions=False)
    np.testing.assert_allclose(entropy(shares, regions=False), entr(shares).sum(axis=0), atol=1e-6)
    even, certain = np.full((4, 1), 0.25, np.float32), np.array([[0], [1], [0], [0]], np.float32)
    assert entropy(even, regions=False) == pytest.approx(np.log(4))
    assert entropy(certain, regions=False) == 0
    assert entropy(certain, regions=True) == 0


def test_the_entropy_of_regions_is_the_sum_over_them():
    shares = probabilities(random_logits(), regions=True)
    expected = (entr(shares.astype(np.float64)) + entr(1 - shares.astype(np.float64))).sum(axis=0)
    np.testing.assert_allclose(entropy(shares, regions=True), expected, atol=1e-5)
