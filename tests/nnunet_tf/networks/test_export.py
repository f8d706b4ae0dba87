"""A network as a TensorFlow SavedModel, which serves it where Keras is not."""

import numpy as np
import pytest
import tensorflow as tf

from tests.nnunet_tf.networks.contract import CASES, build, name_of

# The other plans change strides and kernels only; exporting takes seconds.
EXPORTED = [(plan, settings) for plan, settings in CASES if plan in ("2d", "3d", "odd sides")]


@pytest.mark.slow
@pytest.mark.parametrize(("plan", "settings"), EXPORTED, ids=map(name_of, EXPORTED))
def test_an_exported_network_gives_the_same_logits(plan, settings, tmp_path):
    contract = build(plan, settings)
    contract.network.export(tmp_path / "exported", format="tf_saved_model", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")  # kept: it owns the weights
    outputs = [tf.nest.flatten(run(contract.image)) for run in (exported.serve, contract.network)]
    for one, other in zip(*outputs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
