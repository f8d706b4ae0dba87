import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import write_model
from data_preprocessing.planning.plan import make_plan, write_plan
from nnunet_tf.inference.models.folder import NETWORK_NAME, WEIGHTS_NAME
from nnunet_tf.networks.build import build_network
from nnunet_tf.networks.settings import NetworkSettings
from nnunet_tf.training.model.pretrained import load_pretrained


@pytest.fixture
def plan(small_config, small_data):
    from data_preprocessing.dataset.dataset import load_dataset

    return make_plan(small_config, load_dataset(small_data, small_config.dataset), 3)


@pytest.fixture
def pretrained(plan, tmp_path):
    settings = NetworkSettings()
    network = build_network(plan.topology, plan.patch_size, 1, len(plan.classes), settings)
    network.save_weights(tmp_path / WEIGHTS_NAME)
    write_plan(tmp_path, plan)
    write_model(tmp_path / NETWORK_NAME, settings)
    return str(tmp_path), network


def test_all_weights_but_the_heads_are_taken_over(plan, pretrained):
    folder, source = pretrained
    network = build_network(plan.topology, plan.patch_size, 1, 5, NetworkSettings(deep_supervision=True))
    heads = [layer for layer in network.layers if layer.name.startswith("logits")]
    before = [head.get_weights() for head in heads]
    load_pretrained(folder, network)
    for layer in network.layers:
        if layer.weights and layer not in heads:
            for one, other in zip(layer.get_weights(), source.get_layer(layer.name).get_weights(), strict=True):
                np.testing.assert_array_equal(one, other)
    for head, old in zip(heads, before, strict=True):
        for one, other in zip(head.get_weights(), old, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("channels", "settings", "words"),
    [(2, NetworkSettings(), "encoder0_conv0"), (1, NetworkSettings(encoder="residual"), "has no such layer")],
)
def test_a_model_that_does_not_fit_is_refused_and_changes_nothing(plan, pretrained, channels, settings, words):
    network = build_network(plan.topology, plan.patch_size, channels, 2, settings)
    before = network.get_weights()
    with pytest.raises(UserError, match=words):
        load_pretrained(pretrained[0], network)
    for one, other in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
