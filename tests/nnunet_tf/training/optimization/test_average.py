import keras
import numpy as np
import pytest
import tensorflow as tf

from nnunet_tf.training.optimization.average import WeightAverage


def make_network(units=3, dtype="float32"):
    return keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(units, dtype=dtype),
            keras.layers.BatchNormalization(dtype=dtype),
        ]
    )


def change(network, step):
    random = np.random.default_rng(step)
    for weight in network.weights:
        weight.assign(random.normal(size=weight.shape))


def by_hand(start, values, decay):
    average = start.astype(np.float64)
    for t, value in enumerate(values):
        kept = min(decay, (1 + t) / (10 + t))
        average = kept * average + (1 - kept) * value
    return average


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("decay", [0.3, 0.999])
def test_the_average_follows_the_weights_by_its_formula_and_the_others_are_copied(decay, traced):
    network, other = make_network(), make_network()
    average = WeightAverage(network, decay)
    start = [np.array(weight) for weight in network.trainable_weights]
    update = tf.function(average.update) if traced else average.update
    values = []
    for step in range(6):
        change(network, step)
        values.append([np.array(weight) for weight in network.trainable_weights])
        update()
    average.copy_to(other)
    for weight, first, seen in zip(other.trainable_weights, start, zip(*values, strict=True), strict=True):
        np.testing.assert_allclose(weight, by_hand(first, seen, decay), rtol=1e-5, atol=1e-6)
    for weight, source in zip(other.non_trainable_weights, network.non_trainable_weights, strict=True):
        np.testing.assert_array_equal(weight, source)
    for weight, value in zip(network.trainable_weights, values[-1], strict=True):
        np.testing.assert_array_equal(weight, value)


def test_half_as_many_workers_move_the_average_half_as_far():
    network, other = make_network(), make_network()
    average = WeightAverage(network, 0.1)  # less than the warm-up's, after a few updates
    update = tf.function(average.update)
    for _ in range(5):
        update()
    average.keep_pace(0.5)
    before = [np.array(weight) for weight in network.trainable_weights]
    change(network, 0)
    update()
    average.copy_to(other)
    for weight, first, source in zip(other.trainable_weights, before, network.trainable_weights, strict=True):
        kept = 0.1**0.5
        np.testing.assert_allclose(weight, kept * first + (1 - kept) * np.array(source), rtol=1e-5, atol=1e-6)


def test_before_the_first_update_the_average_is_the_network():
    network, other = make_network(), make_network()
    WeightAverage(network, 0.9).copy_to(other)
    for weight, source in zip(other.weights, network.weights, strict=True):
        np.testing.assert_array_equal(weight, source)


def test_a_new_start_forgets_what_was_before():
    network = make_network()
    average = WeightAverage(network, 0.9)
    change(network, 0)
    average.update()
    change(network, 1)
    average.start()
    updates, *averages = average.variables
    assert int(updates) == 0
    for each, weight in zip(averages, network.trainable_weights, strict=True):
        np.testing.assert_array_equal(each, weight)


@pytest.mark.parametrize("dtype", ["float16", "mixed_float16", "mixed_bfloat16"])
def test_the_average_keeps_what_half_precision_would_round_away(dtype):
    network = make_network(dtype=dtype)
    average = WeightAverage(network, 0.999)
    _, *averages = average.variables
    assert {each.dtype for each in averages} == {"float32"}
    network.weights[0].assign(np.ones((2, 3)))
    averages[0].assign(np.full((2, 3), 1 - 2.0**-12))
    average.variables[0].assign(10**6)
    average.update()
    np.testing.assert_allclose(1 - np.array(averages[0]), 0.999 * 2.0**-12, rtol=1e-3)
    average.copy_to(make_network(dtype=dtype))


def test_an_average_goes_on_from_its_variables_as_if_it_had_not_stopped():
    network, resumed_network = make_network(), make_network()
    average, resumed = WeightAverage(network, 0.9), WeightAverage(resumed_network, 0.9)
    for step in range(3):
        change(network, step)
        average.update()
    for variable, source in zip(resumed.variables, average.variables, strict=True):
        variable.assign(source)
    for each in (network, resumed_network):
        change(each, 7)
    average.update()
    resumed.update()
    assert int(resumed.variables[0]) == 4
    for one, other in zip(average.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_of_another_structure_is_refused_and_stays_as_it_was():
    other = make_network(units=4)
    before = np.array(other.weights[0])
    with pytest.raises(ValueError, match="structure"):
        WeightAverage(make_network(), 0.9).copy_to(other)
    np.testing.assert_array_equal(other.weights[0], before)
