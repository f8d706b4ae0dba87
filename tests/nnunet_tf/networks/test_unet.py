import keras
import numpy as np
import pytest
import tensorflow as tf

from data_preprocessing.topology import plan_topology
from nnunet_tf.networks.unet import build_unet, full_resolution

PLANS = {
    "3d": ((16, 24, 16), (1.0, 1.0, 1.0)),
    "3d anisotropic": ((6, 32, 16), (4.0, 1.0, 1.0)),
    "2d": ((32, 40), (1.0, 1.0)),
}


def small_unet(name, deep_supervision=False, channels=2, classes=3):
    patch, spacing = PLANS[name]
    topology = plan_topology(patch, spacing, features=[4, 6, 8, 10])
    return build_unet(topology, patch, channels, classes, deep_supervision), topology, patch


def parameters_by_hand(topology, channels, classes):
    """Counted from the rule: two convolutions with bias and two normalisation weights a feature in every stage, a
    transposed convolution with kernel = stride before each decoder stage, and a 1x1 head at full resolution."""
    total, before = 0, channels
    stages = list(zip(topology.strides, topology.kernels, topology.features, strict=True))
    for _, kernel, features in stages:
        volume = int(np.prod(kernel))
        total += (before * volume + 1) * features + (features * volume + 1) * features + 4 * features
        before = features
    for level in range(len(stages) - 2, -1, -1):
        features, volume = stages[level][2], int(np.prod(stages[level][1]))
        total += (before * int(np.prod(stages[level + 1][0])) + 1) * features
        total += (2 * features * volume + 1) * features + (features * volume + 1) * features + 4 * features
        before = features
    return total + (before + 1) * classes


@pytest.mark.parametrize("name", PLANS)
def test_logits_have_the_size_of_the_patch(name):
    network, _, patch = small_unet(name)
    assert network(np.zeros((2, *patch, 2), np.float32)).shape == (2, *patch, 3)


@pytest.mark.parametrize("name", PLANS)
def test_the_number_of_weights_is_that_of_the_rule(name):
    network, topology, _ = small_unet(name)
    assert network.count_params() == parameters_by_hand(topology, channels=2, classes=3)


def test_deep_supervision_has_a_head_on_all_decoder_levels_but_the_lowest():
    topology = plan_topology((40, 56, 40), (1, 1, 1), features=[2, 2, 2, 2])
    network = build_unet(topology, (40, 56, 40), 1, 3, deep_supervision=True)
    assert [output.shape[1:] for output in network.outputs] == [(40, 56, 40, 3), (20, 28, 20, 3)]


@pytest.mark.parametrize("name", PLANS)
def test_gradients_reach_every_weight(name):
    network, _, patch = small_unet(name, deep_supervision=True)
    inputs = np.random.default_rng(0).normal(size=(2, *patch, 2)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = sum(tf.reduce_sum(tf.sin(output * 3)) for output in network(inputs, training=True))
    for weight, gradient in zip(network.weights, tape.gradient(loss, network.weights), strict=True):
        assert gradient is not None, weight.path
        # A bias before a normalisation has no effect; everything else must move.
        assert np.abs(gradient).max() > 0 or weight.path.endswith("conv0/bias") or weight.path.endswith("conv1/bias")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_computes_in_half_and_gives_float32_logits(policy):
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(policy)
    try:
        network, _, patch = small_unet("3d")
    finally:
        keras.mixed_precision.set_dtype_policy(before)
    assert network.get_layer("encoder0_conv0").compute_dtype == policy.removeprefix("mixed_")
    assert network(np.zeros((1, *patch, 2), np.float32)).dtype == "float32"
    assert {weight.dtype for weight in network.weights} == {"float32"}


def test_the_full_resolution_network_is_the_first_output_and_its_weights_fit_a_network_without_heads(tmp_path):
    network, topology, patch = small_unet("2d", deep_supervision=True)
    assert len(network.outputs) == 2
    inputs = np.random.default_rng(1).normal(size=(1, *patch, 2)).astype(np.float32)
    expected = network(inputs)[0]
    full_resolution(network).save_weights(tmp_path / "x.weights.h5")
    plain = build_unet(topology, patch, 2, 3)
    plain.load_weights(tmp_path / "x.weights.h5")
    np.testing.assert_allclose(plain(inputs), expected, atol=1e-6)


def test_a_network_survives_saving_and_loading(tmp_path):
    network, _, patch = small_unet("3d anisotropic")
    inputs = np.random.default_rng(1).normal(size=(1, *patch, 2)).astype(np.float32)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_allclose(loaded(inputs), network(inputs), atol=1e-6)
