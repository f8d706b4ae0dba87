import keras
import numpy as np
import pytest

from data_preprocessing.planning.topology import plan_topology
from nnunet_tf.networks.build import build_network
from nnunet_tf.networks.settings import NetworkSettings
from nnunet_tf.training.config.loss_and_optimizer import LossSettings, OptimizerSettings
from nnunet_tf.training.distributed import Alone
from nnunet_tf.training.optimization.average import WeightAverage
from nnunet_tf.training.optimization.losses import make_loss
from nnunet_tf.training.optimization.optimizer import make_optimizer
from nnunet_tf.training.optimization.step import TrainingStep
from tests.nnunet_tf.networks.samples import NARROW, name_of

PATCH, PATCH_2D = (8, 16, 8), (16, 16)


def make_step(
    precision="float32",
    average=False,
    xla=False,
    group=None,
    network=NetworkSettings(deep_supervision=True),
    patch=PATCH,
    loss=LossSettings(),
    **optimizer,
):
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(precision)
    keras.utils.set_random_seed(0)
    topology = plan_topology(patch, (1,) * len(patch), [4, 8])
    network = build_network(topology, patch, 1, 2, network)
    keras.mixed_precision.set_dtype_policy(before)
    settings = OptimizerSettings(**{"learning_rate": 1e-2, **optimizer})
    return TrainingStep(
        network,
        make_optimizer(settings, 1000, loss_scaling=precision == "mixed_float16"),
        group or Alone(),
        make_loss(loss, None, group.sum_tensor if group else None),
        WeightAverage(network, 0.9) if average else None,
        xla,
    )


@pytest.fixture
def batch():
    image = np.random.default_rng(0).normal(size=(2, *PATCH, 1)).astype(np.float32)
    return image, (image[..., 0] > 0.5).astype(np.int32)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_repeating_a_batch_lowers_its_loss(precision, batch):
    step = make_step(precision)
    losses = [float(step(*batch)) for _ in range(60)]
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.slow
def test_compiled_by_xla_the_step_is_the_same(batch):
    plain, compiled = make_step(), make_step(xla=True)
    for _ in range(2):
        assert float(compiled(*batch)) == pytest.approx(float(plain(*batch)), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("settings", NARROW, ids=name_of)
@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_the_other_networks_learn_compiled_by_xla(settings, precision):
    image = np.random.default_rng(0).normal(size=(2, *settings.input_size(PATCH_2D), 1)).astype(np.float32)
    margin = [(seen - side) // 2 for seen, side in zip(image.shape[1:3], PATCH_2D, strict=True)]
    middle = image[:, margin[0] : margin[0] + PATCH_2D[0], margin[1] : margin[1] + PATCH_2D[1], 0]
    step = make_step(precision, xla=True, network=settings, patch=PATCH_2D)
    losses = [float(step(image, (middle > 0.5).astype(np.int32))) for _ in range(40)]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])


@pytest.mark.slow
def test_an_overflow_in_float16_skips_the_update_and_lowers_the_scale(batch):
    step = make_step("mixed_float16", average=True)
    step(*batch)
    step.optimizer.dynamic_scale.assign(2.0**60)
    variables = [*step.network.weights, *step.average.variables]
    before = [np.array(variable) for variable in variables]
    step(*batch)
    assert float(step.optimizer.dynamic_scale) < 2.0**60
    for variable, old in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable, old)
    step.optimizer.dynamic_scale.assign(2.0**5)
    step(*batch)
    assert int(step.average.variables[0]) == 2


@pytest.mark.slow
def test_the_average_follows_the_weights(batch):
    step = make_step(average=True)
    copy = keras.models.clone_model(step.network)
    for _ in range(3):
        step(*batch)
    step.average.copy_to(copy)
    pairs = zip(copy.weights, step.network.weights, strict=True)
    distances = [np.abs(np.array(average) - np.array(weight)).max() for average, weight in pairs]
    assert 0 < max(distances) < 0.1
