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

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=HALF_CASES, ids=name_of)
def case(request):
    """The plan and settings, and the network in float32."""
    return *request.param, build(*request.param)


@pytest.fixture(scope="module", params=HALF_PRECISIONS)
def half(request, case):
    """The precision, and the network in it with the weights of that in float32."""
    plan, settings, full = case
    contract = build_in(request.param, plan, settings)
    contract.network.set_weights(full.network.get_weights())
    return request.param, contract


def test_mixed_precision_gives_finite_float32_logits_near_those_of_float32(case, half):
    _, settings, full = case
    policy, half = half
    trains = settings.network == "nnunet"  # the others drop out at random then, or do nothing else
    outputs = [tf.nest.flatten(each.network(full.image, training=trains)) for each in (full, half)]
    assert half.network.get_layer("decoder0_conv0").compute_dtype == policy.removeprefix("mixed_")
    assert {weight.dtype for weight in half.network.trainable_weights} == {"float32"}
    for expected, logits in zip(*outputs, strict=True):
        assert logits.dtype == np.float32
        assert np.isfinite(logits).all()
        assert np.sqrt(np.mean((logits - expected) ** 2)) < 0.1 * np.std(expected)


def test_gradients_reach_every_weight_in_mixed_precision(half):
    _, contract = half
    assert_gradients_reach_every_weight(contract)
