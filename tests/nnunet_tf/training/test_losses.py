import numpy as np
import pytest
from scipy.special import log_softmax

from nnunet_tf.training.losses import deep_supervision_loss, dice_and_cross_entropy


def by_hand(logits, target, batch_dice):
    """Cross-entropy plus soft Dice without background, written out in NumPy."""
    classes = logits.shape[-1]
    log_probabilities = log_softmax(logits.astype(np.float64), axis=-1)
    truth = np.eye(classes)[target]
    cross_entropy = -(truth * log_probabilities).sum(-1).mean()
    probabilities = np.exp(log_probabilities)
    groups = [slice(None)] if batch_dice else [slice(i, i + 1) for i in range(len(target))]
    scores = []
    for group in groups:
        for index in range(1, classes):
            p, g = probabilities[group][..., index], truth[group][..., index]
            scores.append((2 * (p * g).sum() + 1e-5) / (p.sum() + g.sum() + 1e-5))
    return cross_entropy + 1 - np.mean(scores)


@pytest.fixture
def batch():
    random = np.random.default_rng(0)
    logits = random.normal(size=(3, 4, 6, 5, 3)).astype(np.float32)
    target = random.integers(0, 3, logits.shape[:-1]).astype(np.int32)
    target[1, 1:] = 0  # samples of unlike size: there batch Dice differs from the mean of samples
    return logits, target


@pytest.mark.parametrize("batch_dice", [False, True])
def test_the_loss_equals_the_formula(batch, batch_dice):
    logits, target = batch
    np.testing.assert_allclose(dice_and_cross_entropy(logits, target, batch_dice), by_hand(*batch, batch_dice), 1e-5)


def test_batch_dice_is_another_loss(batch):
    assert abs(by_hand(*batch, True) - by_hand(*batch, False)) > 1e-3


def test_a_perfect_prediction_costs_nothing(batch):
    _, target = batch
    perfect = (np.eye(3)[target] * 100).astype(np.float32)
    assert float(dice_and_cross_entropy(perfect, target)) == pytest.approx(0, abs=1e-5)


def test_logits_in_half_precision_are_computed_in_float32(batch):
    logits, target = batch
    loss = dice_and_cross_entropy(logits.astype(np.float16), target)
    assert loss.dtype == "float32"
    np.testing.assert_allclose(loss, by_hand(*batch, False), rtol=2e-3)


def test_an_absent_class_does_not_make_the_loss_infinite(batch):
    logits, target = batch
    assert np.isfinite(dice_and_cross_entropy(logits, np.zeros_like(target)))


def test_deep_supervision_weighs_each_level_half_as_much_and_takes_every_second_voxel(batch):
    logits, target = batch
    coarse = np.random.default_rng(1).normal(size=(3, 2, 3, 5, 3)).astype(np.float32)  # last axis not downsampled
    expected = (by_hand(logits, target, False) + 0.5 * by_hand(coarse, target[:, ::2, ::2], False)) / 1.5
    np.testing.assert_allclose(deep_supervision_loss([logits, coarse], target), expected, rtol=1e-5)
