import keras
import numpy as np
import pytest

from nnunet_tf.training.optimizer import LARGEST_GRADIENT_NORM, make_optimizer


def rate_at(optimizer, step):
    optimizer.iterations.assign(step)
    return float(optimizer.learning_rate)


def test_the_rate_rises_to_its_peak_and_falls_to_zero():
    optimizer = make_optimizer(1e-3, steps=1000, loss_scaling=False)
    rates = [rate_at(optimizer, step) for step in range(0, 1001, 50)]
    assert max(rates) == pytest.approx(rate_at(optimizer, 100)) == pytest.approx(1e-3, rel=1e-3)
    assert rates[0] < 2e-5
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert rate_at(optimizer, 550) == pytest.approx(0.5e-3, rel=1e-3)  # half way down a cosine


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_very_short_runs_have_a_positive_rate(steps):
    assert rate_at(make_optimizer(1e-3, steps, loss_scaling=False), 0) > 0


def test_only_kernels_decay():
    layer = keras.layers.Dense(2)
    layer.build((None, 2))
    layer.bias.assign([1.0, 1.0])
    kernel = np.array(layer.kernel)
    optimizer = make_optimizer(0.1, steps=1, loss_scaling=False)
    optimizer.build(layer.trainable_variables)
    optimizer.apply([np.zeros((2, 2), np.float32), np.zeros(2, np.float32)], layer.trainable_variables)
    np.testing.assert_array_equal(layer.bias, [1.0, 1.0])
    np.testing.assert_allclose(layer.kernel, kernel * (1 - 0.1 * 0.01), rtol=1e-5)


def test_gradients_are_clipped_by_their_common_norm():
    assert make_optimizer(0.1, steps=1, loss_scaling=False).global_clipnorm == LARGEST_GRADIENT_NORM == 12
