"""Networks of every kind, small, and what each must keep."""

import re
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from data_preprocessing.planning.network_planner import fit_topology
from data_preprocessing.planning.topology import Topology, plan_topology
from nnunet_tf.networks.build import build_network
from nnunet_tf.networks.settings import NetworkSettings
from tests.nnunet_tf.networks.samples import NARROW

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
    *[(plan, NetworkSettings(encoder=encoder, deep_supervision=True)) for plan in ("2d", "3d") for encoder in ENCODERS],
    *[("2d", settings) for settings in NARROW],
]
HALF_PRECISIONS = ("mixed_float16", "mixed_bfloat16")


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


def build_in(policy, plan, settings):
    """The contract with the layers of a precision policy."""
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(policy)
    try:
        return build(plan, settings)
    finally:
        keras.mixed_precision.set_dtype_policy(before)


def assert_gradients_reach_every_weight(contract):
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
