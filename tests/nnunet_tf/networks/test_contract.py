"""What every network keeps, whatever its dimensions, encoder, normalisation and plan."""

import re
from dataclasses import dataclass

import keras
import numpy as np
import pytest
import tensorflow as tf

from data_preprocessing.network_planner import fit_topology
from data_preprocessing.topology import Topology, plan_topology
from nnunet_tf.networks.build import build_network
from nnunet_tf.networks.settings import NetworkSettings

from .samples import NARROW

CHANNELS, OUTPUTS = 2, 3
FEATURES = (10, 12, 14, 16)  # none of them has 8 groups but the last
NORMS = ("instance", "batch", "group", "none")
ENCODERS = ("plain", "residual")


@dataclass(frozen=True)
class Contract:
    """A network and what it was built from. Its weights are random, the ones that start from zero as well."""

    network: keras.Model
    topology: Topology
    patch: tuple[int, ...]
    settings: NetworkSettings

    @property
    def image(self):
        """A batch of two for the network."""
        size = self.settings.input_size(self.patch)
        return np.random.default_rng(0).normal(size=(2, *size, CHANNELS)).astype(np.float32)

    @property
    def head_levels(self):
        """The decoder levels that have logits, by the rule: all but the lowest, and always the highest."""
        deeper = range(1, len(self.topology.strides) - 2) if self.settings.deep_supervision else ()
        return [0, *deeper]


def fixed_patch(patch, spacing):
    return patch, plan_topology(patch, spacing, FEATURES)


def from_fingerprint(patch, spacing):
    patch, topology = fit_topology(patch, spacing)
    return patch, topology.model_copy(update={"features": FEATURES[: len(topology.strides)]})


PLANS = {
    "2d": fixed_patch((16, 24), (1, 1)),
    "3d": fixed_patch((8, 16, 8), (1, 1, 1)),
    "four stages": fixed_patch((8, 32, 8), (1, 1, 1)),
    "coarse axis": fixed_patch((4, 16, 16), (4, 1, 1)),
    "coarse axis, planned": from_fingerprint((7, 30, 30), (3, 1, 1)),
    "one stage": fixed_patch((4, 6, 4), (1, 1, 1)),
    "an axis of one voxel": fixed_patch((1, 16, 16), (1, 1, 1)),
}
ODD_SIDES = (7, 30), Topology(strides=((1, 1),), kernels=((3, 3),), features=FEATURES[:1])
CASES = [
    *[("3d", NetworkSettings(encoder=encoder, norm=norm)) for encoder in ENCODERS for norm in NORMS],
    *[("2d", NetworkSettings(norm=norm, deep_supervision=True)) for norm in NORMS],
    *[
        (plan, NetworkSettings(encoder=encoder, deep_supervision=True, negative_slope=0.2))
        for plan in PLANS
        for encoder in ENCODERS
    ],
    *[(plan, settings) for plan in ("2d", "odd sides") for settings in NARROW],
]
HALF_CASES = [
    *[("3d", NetworkSettings(encoder=encoder, norm=norm)) for encoder in ENCODERS for norm in NORMS],
    *[("2d", settings) for settings in NARROW],
]


def build(plan, settings):
    keras.utils.set_random_seed(0)
    patch, topology = ODD_SIDES if plan == "odd sides" else PLANS[plan]
    network = build_network(topology, patch, CHANNELS, OUTPUTS, settings)
    random = np.random.default_rng(1)
    for weight in network.trainable_weights:
        if not np.any(weight):
            weight.assign(random.normal(scale=0.05, size=weight.shape))
    return Contract(network, topology, patch, settings)


def name_of(case):
    plan, settings = case
    if settings.network != "nnunet":
        return f"{plan}, {settings.network}, {settings.padding}"
    supervision = ", deep supervision" if settings.deep_supervision else ""
    return f"{plan}, {settings.encoder}, {settings.norm}{supervision}"


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
    with tf.GradientTape() as tape:
        outputs = tf.nest.flatten(contract.network(contract.image, training=True))
        loss = sum(tf.reduce_sum(tf.sin(output * 3)) for output in outputs)
    weights = contract.network.trainable_weights
    for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
        assert gradient is not None, weight.path
        assert np.isfinite(gradient).all(), weight.path
        # A bias that the next layer subtracts with the mean has no effect.
        settings = contract.settings
        without_norm = settings.network != "nnunet" or settings.norm not in ("instance", "batch")
        if without_norm or not re.search(r"_conv\d/bias", weight.path):
            assert np.abs(gradient).max() > 0, weight.path


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


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize(("plan", "settings"), HALF_CASES, ids=map(name_of, HALF_CASES))
def test_mixed_precision_gives_finite_float32_logits_near_those_of_float32(plan, settings, policy):
    full = build(plan, settings)
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(policy)
    try:
        half = build(plan, settings)
    finally:
        keras.mixed_precision.set_dtype_policy(before)
    half.network.set_weights(full.network.get_weights())
    trains = settings.network == "nnunet"  # the others drop out at random then, or do nothing else
    expected, logits = (np.array(each.network(full.image, training=trains)) for each in (full, half))
    assert half.network.get_layer("decoder0_conv0").compute_dtype == policy.removeprefix("mixed_")
    assert {weight.dtype for weight in half.network.trainable_weights} == {"float32"}
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()
    assert np.sqrt(np.mean((logits - expected) ** 2)) < 0.1 * expected.std()


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
