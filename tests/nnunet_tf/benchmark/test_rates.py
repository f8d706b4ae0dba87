import keras
import pytest
import tensorflow as tf
from keras import layers

from nnunet_tf.benchmark import rates
from nnunet_tf.benchmark.operations import step_work
from nnunet_tf.benchmark.rates import Sizes, measure_rates

SMALL = Sizes(matrix=16, log2_voxels=6, channels=4, floats=100, calls=2)


@pytest.fixture
def one_second(monkeypatch):
    """Every operation takes a second: a rate is the amount."""

    def best_seconds(operation, calls):
        operation()
        return 1.0

    monkeypatch.setattr(rates, "_best_seconds", best_seconds)


@pytest.mark.parametrize("dim", [2, 3])
def test_the_operations_of_the_convolution_are_counted_as_those_of_a_layer(one_second, dim):
    side = {2: 8, 3: 4}[dim]
    image = keras.Input((*[side] * dim, 4))
    layer = (layers.Conv2D if dim == 2 else layers.Conv3D)(4, 3, padding="same")
    (work,) = step_work(keras.Model(image, layer(image)), 1, training=False)
    assert measure_rates(dim, "float32", SMALL).convolution == work.flops


def test_matrices_and_memory_by_hand(one_second):
    measured = measure_rates(3, "bfloat16", SMALL)
    assert measured.matrix == 2 * 16**3
    assert measured.bandwidth == 3 * 4 * 100


def test_the_clock_is_read_around_all_calls_and_the_best_repeat_counts(monkeypatch):
    now, calls = [0.0], []
    durations = iter([50.0] + [3.0, 5.0] + [2.0, 2.0] + [9.0] * 100)

    def operation():
        calls.append(tf.zeros(()))
        now[0] += next(durations)

    monkeypatch.setattr(rates.time, "perf_counter", lambda: now[0])
    assert rates._best_seconds(operation, calls=2) == 2.0
    assert len(calls) == 1 + 2 * rates.REPEATS
