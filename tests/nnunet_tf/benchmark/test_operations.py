import keras
import pytest
from keras import layers

from data_preprocessing.planning.topology import plan_topology
from nnunet_tf.benchmark.operations import step_work
from nnunet_tf.networks.build import build_network
from nnunet_tf.networks.layers import InstanceNormalization
from nnunet_tf.networks.settings import NetworkSettings

BATCH = 3


def only_layer(layer, shape):
    """A network of that one layer."""
    image = keras.Input(shape)
    return keras.Model(image, layer(image))


def total(work, kind, what):
    return sum(getattr(each, what) for each in work if each.kind == kind)


@pytest.mark.parametrize("training", [False, True])
def test_a_strided_convolution_by_hand(training):
    network = only_layer(layers.Conv2D(4, 3, 2, padding="same"), (8, 6, 5))
    work = step_work(network, BATCH, training)
    passes = 3 if training else 1
    assert total(work, "convolution", "flops") == passes * 2 * BATCH * (4 * 3) * (3 * 3) * 5 * 4
    floats = BATCH * 8 * 6 * 5 + 3 * 3 * 5 * 4 + BATCH * 4 * 3 * 4
    assert total(work, "convolution", "bytes") == passes * 4 * floats


def test_a_transposed_convolution_by_hand():
    network = only_layer(layers.Conv3DTranspose(7, (1, 2, 2), (1, 2, 2)), (3, 4, 5, 6))
    (work,) = step_work(network, BATCH, training=False)
    assert work.flops == 2 * BATCH * (3 * 4 * 5) * (1 * 2 * 2) * 6 * 7
    assert work.bytes == 4 * (BATCH * 3 * 4 * 5 * 6 + 4 * 6 * 7 + BATCH * 3 * 8 * 10 * 7)


def test_a_normalisation_reads_twice_and_writes_once_and_backward_reads_gradients_too():
    network = only_layer(InstanceNormalization(), (4, 4, 2))
    size = 4 * BATCH * 4 * 4 * 2
    assert total(step_work(network, BATCH, training=False), "normalization", "bytes") == 3 * size
    assert total(step_work(network, BATCH, training=True), "normalization", "bytes") == (3 + 5) * size


def test_a_concatenation_moves_all_its_inputs_both_ways():
    one, other = keras.Input((4, 4, 2)), keras.Input((4, 4, 3))
    network = keras.Model([one, other], layers.Concatenate()([one, other]))
    assert total(step_work(network, BATCH, training=True), "others", "bytes") == 2 * 4 * BATCH * 16 * (5 + 5)


def test_the_update_touches_every_weight_in_float32():
    network = only_layer(layers.Conv2D(4, 1, dtype="mixed_bfloat16"), (8, 6, 5))
    work = step_work(network, BATCH, training=True)
    assert total(work, "update", "bytes") == 8 * 4 * (5 * 4 + 4)
    assert total(step_work(network, BATCH, training=False), "update", "bytes") == 0


def test_half_precision_halves_the_bytes_of_what_computes_in_it():
    def norm_bytes(policy):
        image = keras.Input((8, 8, 4))
        values = layers.Conv2D(4, 3, dtype=policy)(image)
        network = keras.Model(image, InstanceNormalization(dtype=policy)(values))
        return total(step_work(network, BATCH, training=True), "normalization", "bytes")

    assert 2 * norm_bytes("mixed_bfloat16") == norm_bytes("float32")


def test_the_step_of_the_hippocampus_has_the_228_gflop_that_were_counted_for_it_elsewhere():
    patch = (40, 56, 40)
    topology = plan_topology(patch, (1, 1, 1), [32, 64, 128, 256])
    network = build_network(topology, patch, 1, 3, NetworkSettings(deep_supervision=True))
    assert total(step_work(network, 2, training=True), "convolution", "flops") == pytest.approx(228e9, rel=0.01)
