"""What every network keeps, whatever its dimensions, encoder, normalisation and plan."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from data_preprocessing.planning.topology import plan_topology
from nnunet_tf.networks.build import build_network
from nnunet_tf.networks.settings import NetworkSettings
from tests.nnunet_tf.networks.contract import (
    CASES,
    CHANNELS,
    OUTPUTS,
    assert_gradients_reach_every_weight,
    build,
    name_of,
)


@pytest.fixture(scope="module", params=CASES, ids=name_of)
def contract(request):
    return build(*request.param)


def parameters_by_hand(topology, settings):
    """A convolution has a weight for each input channel and position, and a bias; a normalisation has scale and offset
    (batch: and two running statistics); the 1x1 convolution of a skip path has no bias."""
    norm = {"instance": 2, "batch": 4, "group": 2, "none": 0}[settings.norm]

    def unit(before, features, kernel):
        return (before * int(np.prod(kernel)) + 1 + norm) * features

    stages = list(zip(topology.kernels, topology.features, strict=True))
    total, before = 0, CHANNELS
    if settings.encoder == "residual":
        kernel, before = stages[0]
        total += unit(CHANNELS, before, kernel)
    for (kernel, features), blocks in zip(stages, (1, 3, 4, 6, 6, 6), strict=False):
        total += unit(before, features, kernel) + unit(features, features, kernel)
        if settings.encoder == "residual":
            total += (blocks - 1) * 2 * unit(features, features, kernel)
            total += (before + norm) * features if before != features else 0
        before = features
    for level in reversed(range(len(stages) - 1)):
        kernel, features = stages[level]
        total += (before * int(np.prod(topology.strides[level + 1])) + 1) * features
        total += unit(2 * features, features, kernel)
        total += unit(features, features, kernel) if settings.encoder == "plain" else 0
        before = features
    return total


def convolution(before, features, kernel=3):
    """Weights and biases of a 2D convolution."""
    return (before * kernel**2 + 1) * features


def unet_parameters(width, channels, outputs):
    """Two convolutions a stage; on the way up a transposed convolution with kernel 2, and as much from the skip."""
    features = [width * 2**level for level in range(5)]
    total, before = 0, channels
    for count in features:
        total += convolution(before, count) + convolution(count, count)
        before = count
    for count in reversed(features[:-1]):
        total += convolution(before, count, kernel=2) + convolution(2 * count, count) + convolution(count, count)
        before = count
    return total + convolution(before, outputs, kernel=1)


def tiny_unet_parameters(width, channels, outputs):
    """Two convolutions a stage; on the way up one with kernel 2, of half the bottleneck's channels, else as many."""
    stages = [width, width, 2 * width, 4 * width]
    total, before = 0, channels
    for count in [*stages, 8 * width]:
        total += convolution(before, count) + convolution(count, count)
        before = count
    before = up = 4 * width
    total += convolution(8 * width, up, kernel=2)
    for count in reversed(stages[1:]):
        total += convolution(up + count, count) + convolution(count, count // 2)
        up = count // 2
        total += convolution(up, up, kernel=2)
    return total + convolution(up + width, width) + convolution(width, width) + convolution(width, outputs, kernel=1)


def test_logits_are_float32_and_have_the_size_of_the_patch_halved_once_a_level(contract):
    outputs = tf.nest.flatten(contract.network(contract.image))
    factors = np.cumprod(contract.topology.strides, axis=0)
    expected = [(2, *(np.array(contract.patch) // factors[level]), OUTPUTS) for level in contract.head_levels]
    assert [tuple(output.shape) for output in outputs] == expected
    assert {output.dtype.name for output in outputs} == {"float32"}


def test_a_saved_network_loads_without_being_told_its_layers_and_gives_the_same_logits(contract, tmp_path):
    contract.network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    for one, other in zip(*(tf.nest.flatten(each(contract.image)) for each in (loaded, contract.network)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


def test_gradients_reach_every_weight(contract):
    assert_gradients_reach_every_weight(contract)


def test_the_number_of_weights_is_that_of_the_rule(contract):
    if contract.settings.network != "nnunet":
        rule = {"unet": unet_parameters, "tiny-unet": tiny_unet_parameters}[contract.settings.network]
        assert contract.network.count_params() == rule(contract.settings.width, CHANNELS, OUTPUTS)
        return
    heads = sum((contract.topology.features[level] + 1) * OUTPUTS for level in contract.head_levels)
    assert contract.network.count_params() == parameters_by_hand(contract.topology, contract.settings) + heads


def test_the_summary_prints(contract):
    lines = []
    contract.network.summary(print_fn=lines.append)
    assert f"{contract.network.count_params():,}" in "\n".join(lines)


@pytest.mark.parametrize(("encoder", "expected"), [("plain", 5_602_595), ("residual", 25_895_011)])
def test_the_hippocampus_network_has_as_many_weights_as_counted_on_paper(encoder, expected):
    topology = plan_topology((40, 56, 40), (1, 1, 1))
    assert topology.features == (32, 64, 128, 256)
    network = build_network(topology, (40, 56, 40), 1, 3, NetworkSettings(encoder=encoder))
    assert network.count_params() == expected


def test_the_published_unet_has_31_million_weights():
    # Down: 37,568 + 221,440 + 885,248 + 3,539,968 + 14,157,824 at the bottleneck.
    # Up: 9,176,576 + 2,294,528 + 573,824 + 143,552; head of two classes: 130.
    network = build_network(None, (4, 4), 1, 2, NetworkSettings(network="unet"))
    assert network.count_params() == unet_parameters(64, 1, 2) == 31_030_658


def test_the_published_tiny_unet_has_1_85_million_weights():
    # Down: 9,568 + 18,496 + 55,424 + 221,440; bottleneck: 885,248 + 131,200.
    # Up: 385,280 + 96,384 + 24,128; output: 23,104 + 33.
    network = build_network(None, (16, 16), 1, 1, NetworkSettings(network="tiny-unet"))
    assert network.count_params() == tiny_unet_parameters(32, 1, 1) == 1_850_305
