import keras
import numpy as np
import pytest

from data_preprocessing.planning.topology import plan_topology
from nnunet_tf.networks.build import build_network, full_resolution
from nnunet_tf.networks.layers import InstanceNormalization
from nnunet_tf.networks.settings import NetworkSettings

PATCH = (16, 24)
TOPOLOGY = plan_topology(PATCH, (1, 1), features=[4, 6, 8])


def small_network(**settings):
    return build_network(TOPOLOGY, PATCH, 2, 3, NetworkSettings(**settings))


def test_deep_supervision_has_a_head_on_all_decoder_levels_but_the_lowest():
    topology = plan_topology((40, 56, 40), (1, 1, 1), features=[2, 2, 2, 2])
    network = build_network(topology, (40, 56, 40), 1, 3, NetworkSettings(deep_supervision=True))
    assert [output.shape[1:] for output in network.outputs] == [(40, 56, 40, 3), (20, 28, 20, 3)]


def test_the_full_resolution_network_is_the_first_output_and_its_weights_fit_a_network_without_heads(tmp_path):
    patch = (32, 40)
    topology = plan_topology(patch, (1, 1), features=[4, 6, 8, 10])
    network = build_network(topology, patch, 2, 3, NetworkSettings(deep_supervision=True))
    assert len(network.outputs) == 2
    inputs = np.random.default_rng(1).normal(size=(1, *patch, 2)).astype(np.float32)
    expected = network(inputs)[0]
    full_resolution(network).save_weights(tmp_path / "x.weights.h5")
    plain = build_network(topology, patch, 2, 3, NetworkSettings())
    plain.load_weights(tmp_path / "x.weights.h5")
    np.testing.assert_allclose(plain(inputs), expected, atol=1e-6)


@pytest.mark.parametrize("encoder", ["plain", "residual"])
@pytest.mark.parametrize(
    ("norm", "layer"),
    [
        ("instance", InstanceNormalization),
        ("batch", keras.layers.BatchNormalization),
        ("group", keras.layers.GroupNormalization),
    ],
)
def test_all_normalisations_are_of_the_kind_asked_for(encoder, norm, layer):
    layers = small_network(encoder=encoder, norm=norm).layers
    found = {type(each) for each in layers if "Normalization" in type(each).__name__}
    assert found == {layer}
    assert not any("Normalization" in type(each).__name__ for each in small_network(norm="none").layers)


@pytest.mark.parametrize(("features", "groups"), [(32, 8), (320, 8), (12, 6), (14, 7), (11, 1)])
def test_group_normalisation_has_the_largest_number_of_equal_groups_up_to_eight(features, groups):
    topology = plan_topology((4, 4), (1, 1), features=[features])
    network = build_network(topology, (4, 4), 1, 2, NetworkSettings(norm="group"))
    assert network.get_layer("encoder0_norm0").groups == groups


@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
def test_the_slope_is_that_of_every_leaky_relu(norm):
    layers = small_network(norm=norm, encoder="residual", negative_slope=0.3).layers
    slopes = {getattr(each, "negative_slope", None) for each in layers} - {None}
    assert sorted(slopes) == [pytest.approx(0.3)] * len(slopes)
    assert slopes


def test_the_residual_encoder_has_one_three_four_and_then_six_blocks_a_stage():
    patch = (64, 128)
    topology = plan_topology(patch, (1, 1), features=[2])
    names = {layer.name for layer in build_network(topology, patch, 1, 2, NetworkSettings(encoder="residual")).layers}
    blocks = [sum(f"encoder{level}_block{block}_add" in names for block in range(9)) for level in range(6)]
    assert blocks == [1, 3, 4, 6, 6, 6]
    assert "decoder0_conv0" in names
    assert "decoder0_conv1" not in names


@pytest.mark.parametrize("norm", ["instance", "none"])
def test_a_residual_block_adds_nothing_at_the_start(norm):
    network = small_network(encoder="residual", norm=norm, negative_slope=0)
    # The stage without stride and with as many features as its input: relu of a relu, so nothing at all.
    stem = network.get_layer("stem_norm0" if norm == "instance" else "stem_relu0").output
    stage = network.get_layer("encoder0_block0_relu1").output
    image = np.random.default_rng(0).normal(size=(1, *PATCH, 2)).astype(np.float32)
    np.testing.assert_array_equal(*keras.Model(network.inputs[0], [stem, stage])(image))


def test_the_skip_path_averages_over_the_stride():
    network = small_network(encoder="residual")
    before = network.get_layer("encoder0_block0_relu1").output
    after = network.get_layer("encoder1_block0_skip_pool").output
    image = np.random.default_rng(0).normal(size=(1, *PATCH, 2)).astype(np.float32)
    values, pooled = (np.array(each) for each in keras.Model(network.inputs[0], [before, after])(image))
    expected = values.reshape(1, 8, 2, 12, 2, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(pooled, expected, rtol=1e-5, atol=1e-6)
