"""What every network keeps in mixed precision."""

import numpy as np
import pytest
import tensorflow as tf

from tests.nnunet_tf.networks.contract import (
    HALF_CASES,
    HALF_PRECISIONS,
    assert_gradients_reach_every_weight,
    build,
    build_in,
    name_of,
)

pytestmark = [
    pytest.mark.parametrize("policy", HALF_PRECISIONS),
    pytest.mark.parametrize(("plan", "settings"), HALF_CASES, ids=map(name_of, HALF_CASES)),
]


def test_mixed_precision_gives_finite_float32_logits_near_those_of_float32(plan, settings, policy):
    full, half = build(plan, settings), build_in(policy, plan, settings)
    half.network.set_weights(full.network.get_weights())
    trains = settings.network == "nnunet"  # the others drop out at random then, or do nothing else
    outputs = [tf.nest.flatten(each.network(full.image, training=trains)) for each in (full, half)]
    assert half.network.get_layer("decoder0_conv0").compute_dtype == policy.removeprefix("mixed_")
    assert {weight.dtype for weight in half.network.trainable_weights} == {"float32"}
    for expected, logits in zip(*outputs, strict=True):
        assert logits.dtype == np.float32
        assert np.isfinite(logits).all()
        assert np.sqrt(np.mean((logits - expected) ** 2)) < 0.1 * np.std(expected)


def test_gradients_reach_every_weight_in_mixed_precision(plan, settings, policy):
    assert_gradients_reach_every_weight(build_in(policy, plan, settings))
