import keras
import numpy as np
import pytest
import tensorflow as tf

from nnunet_tf.networks.layers import InstanceNormalization
from nnunet_tf.training.config.loss_and_optimizer import OptimizerSettings
from nnunet_tf.training.optimization.optimizer import make_optimizer

RATE = 0.1
NAMES = ["sgd", "adam", "adamw", "lion", "rmsprop"]
DEFAULT_DECAY = {"sgd": 3e-5, "adam": 1e-4, "adamw": 1e-2, "lion": 1e-2, "rmsprop": 1e-5}


def constant_rate(name, **settings):
    if name == "rmsprop":
        settings = {"momentum": 0.8, **settings}
    return OptimizerSettings(optimizer=name, learning_rate=RATE, scheduler="none", warmup_steps=0, **settings)


def dense():
    keras.utils.set_random_seed(0)
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    layer.bias.assign([1.0, -2.0])
    return layer


def gradients_of(step, size=1.0):
    random = np.random.default_rng(step)
    return [(size * random.normal(size=shape)).astype(np.float32) for shape in ((3, 2), (2,))]


def by_hand(name, weight, gradients, decay, momentum=0.99, nesterov=True):
    """The weight after each of `gradients`, by the formulas of the papers and, for SGD, of torch.optim.SGD."""
    w, first, second, velocity = weight.astype(np.float64), 0.0, 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        if name in ("sgd", "adam", "rmsprop"):
            g = g + decay * w
        if name == "sgd":
            first = momentum * first + g
            w = w - RATE * (g + momentum * first if nesterov else first)
        elif name == "lion":
            w = w - RATE * (np.sign(0.9 * first + 0.1 * g) + decay * w)
            first = 0.99 * first + 0.01 * g
        elif name == "rmsprop":
            first, second = 0.9 * first + 0.1 * g, 0.9 * second + 0.1 * g**2
            velocity = 0.8 * velocity + RATE * g / np.sqrt(second - first**2 + 1e-7)
            w = w - velocity
        else:
            first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g**2
            update = first / (1 - 0.9**t) / np.sqrt(second / (1 - 0.999**t))
            w = w - RATE * (update + (decay * w if name == "adamw" else 0))
    return w


def trained(settings, gradients, loss_scaling=False):
    layer = dense()
    optimizer = make_optimizer(settings, steps=100, loss_scaling=loss_scaling)
    optimizer.build(layer.trainable_variables)
    for each in gradients:
        optimizer.apply(each, layer.trainable_variables)
    return layer, optimizer


@pytest.mark.parametrize("decay", [None, 0.0, 0.3])
@pytest.mark.parametrize("name", NAMES)
def test_three_steps_equal_the_formula_and_only_kernels_decay(name, decay):
    gradients = [gradients_of(step) for step in range(3)]
    before = dense()
    layer, _ = trained(constant_rate(name, weight_decay=decay), gradients)
    kernel_decay = DEFAULT_DECAY[name] if decay is None else decay
    kernels, biases = zip(*gradients, strict=True)
    expected = by_hand(name, np.array(before.kernel), kernels, kernel_decay)
    np.testing.assert_allclose(layer.kernel, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.bias, by_hand(name, np.array(before.bias), biases, 0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "theirs"), [("adam", keras.optimizers.Adam), ("adamw", keras.optimizers.AdamW)])
def test_adam_in_one_operation_is_that_of_keras(name, theirs):
    gradients = [gradients_of(step) for step in range(5)]
    layer, optimizer = trained(constant_rate(name, weight_decay=0.0), gradients)
    expected, oracle = dense(), theirs(RATE, global_clipnorm=12.0, weight_decay=0.0)
    for each in gradients:
        oracle.apply(each, expected.trainable_variables)
    moments = optimizer.variables[1:], oracle.variables[2:]  # after the step, and a rate that has no schedule
    for ours, value in zip(*moments, strict=True):
        np.testing.assert_allclose(ours, value, rtol=1e-4)  # 1 - 0.999 rounds otherwise
    np.testing.assert_allclose(layer.kernel, expected.kernel, rtol=1e-4)
    np.testing.assert_allclose(layer.bias, expected.bias, rtol=1e-4)

    step = tf.function(lambda: optimizer.apply([tf.constant(each) for each in gradients[0]], layer.trainable_variables))
    kinds = [operation.type for operation in step.get_concrete_function().graph.get_operations()]
    assert kinds.count("ResourceApplyAdam") == 2


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, True), (0.9, True), (0.9, False)])
def test_momentum_and_nesterov_are_those_asked_for(momentum, nesterov):
    gradients = [gradients_of(step) for step in range(3)]
    layer, _ = trained(constant_rate("sgd", momentum=momentum, nesterov=nesterov), gradients)
    kernels = [kernel for kernel, _ in gradients]
    expected = by_hand("sgd", np.array(dense().kernel), kernels, 3e-5, momentum, nesterov)
    np.testing.assert_allclose(layer.kernel, expected, rtol=1e-4, atol=1e-5)


NORMALIZATIONS = {
    "batch": keras.layers.BatchNormalization,
    "group": lambda: keras.layers.GroupNormalization(2),
    "instance": InstanceNormalization,
}


@pytest.mark.parametrize("norm", NORMALIZATIONS)
@pytest.mark.parametrize("name", NAMES)
def test_norms_do_not_decay(name, norm):
    layer = NORMALIZATIONS[norm]()
    layer.build((None, 4, 2))
    layer.beta.assign([1.0, 2.0])
    optimizer = make_optimizer(constant_rate(name, weight_decay=0.5), steps=1, loss_scaling=False)
    optimizer.apply([np.zeros(2, np.float32)] * 2, layer.trainable_variables)
    np.testing.assert_array_equal(layer.gamma, [1.0, 1.0])
    np.testing.assert_array_equal(layer.beta, [1.0, 2.0])


def test_gradients_are_clipped_by_their_common_norm_and_before_the_weight_decay():
    gradients = gradients_of(0, size=100.0)
    norm = np.sqrt(sum((each**2).sum() for each in gradients))
    assert norm > 12
    layer, _ = trained(constant_rate("sgd", weight_decay=0.5), [gradients])
    expected = by_hand("sgd", np.array(dense().kernel), [gradients[0] * 12 / norm], 0.5)
    np.testing.assert_allclose(layer.kernel, expected, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_an_overflow_under_loss_scaling_leaves_weights_momentum_and_schedule_as_they_were(name):
    settings = OptimizerSettings(optimizer=name, learning_rate=RATE, warmup_steps=10)
    layer, optimizer = trained(settings, [gradients_of(0)], loss_scaling=True)
    kept = [*layer.weights, *optimizer.inner_optimizer.variables]
    before, scale, rate = [np.array(each) for each in kept], float(optimizer.dynamic_scale), optimizer.learning_rate
    kernel, bias = gradients_of(1)
    kernel[0, 0] = np.inf
    optimizer.apply([kernel, bias], layer.trainable_variables)
    for variable, value in zip(kept, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert float(optimizer.learning_rate) == float(rate) == pytest.approx(RATE * 2 / 11)
    assert float(optimizer.dynamic_scale) == scale / 2
    optimizer.apply(gradients_of(1), layer.trainable_variables)
    assert float(optimizer.learning_rate) == pytest.approx(RATE * 3 / 11)


@pytest.mark.parametrize("name", NAMES)
def test_the_scaled_optimiser_takes_the_steps_of_the_plain_one(name):
    gradients = [gradients_of(step) for step in range(2)]
    plain, _ = trained(constant_rate(name), gradients)
    scale = 2.0**15
    scaled, optimizer = trained(constant_rate(name), [[scale * each for each in some] for some in gradients], True)
    assert float(optimizer.dynamic_scale) == scale
    np.testing.assert_allclose(scaled.kernel, plain.kernel, rtol=1e-5)


@pytest.mark.parametrize("loss_scaling", [False, True])
def test_the_rate_is_that_of_the_schedule(loss_scaling):
    settings = OptimizerSettings(learning_rate=1e-3, scheduler="cosine", warmup_steps=100)
    optimizer = make_optimizer(settings, steps=1000, loss_scaling=loss_scaling)
    for step, rate in ((0, 1e-3 / 101), (100, 1e-3), (550, 0.5e-3), (1000, 0.0)):
        optimizer.iterations.assign(step)
        assert float(optimizer.learning_rate) == pytest.approx(rate, rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_an_optimiser_survives_being_written_as_a_config(name):
    optimizer = make_optimizer(constant_rate(name, weight_decay=0.25), steps=10, loss_scaling=False)
    restored = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert restored.get_config() == optimizer.get_config()
    assert 0.25 in (restored.weight_decay, getattr(restored, "penalty", None))
