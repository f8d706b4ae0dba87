import keras
import numpy as np
import pytest

from data_preprocessing.topology import plan_topology
from nnunet_tf.networks.unet import build_unet
from nnunet_tf.training.distributed import Alone
from nnunet_tf.training.optimizer import make_optimizer
from nnunet_tf.training.step import TrainingStep

PATCH = (8, 16, 8)


def make_step(precision):
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(precision)
    keras.utils.set_random_seed(0)
    network = build_unet(plan_topology(PATCH, (1, 1, 1), [4, 8]), PATCH, 1, 2, deep_supervision=True)
    keras.mixed_precision.set_dtype_policy(before)
    return TrainingStep(network, make_optimizer(1e-2, 1000, precision == "mixed_float16"), Alone(), batch_dice=False)


@pytest.fixture
def batch():
    image = np.random.default_rng(0).normal(size=(2, *PATCH, 1)).astype(np.float32)
    return image, (image[..., 0] > 0.5).astype(np.int32)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_repeating_a_batch_lowers_its_loss(precision, batch):
    step = make_step(precision)
    losses = [float(step(*batch)) for _ in range(60)]
    assert losses[-1] < 0.6 * losses[0]


def test_an_overflow_in_float16_skips_the_update_and_lowers_the_scale(batch):
    step = make_step("mixed_float16")
    step(*batch)
    step.optimizer.dynamic_scale.assign(2.0**60)
    before = [np.array(weight) for weight in step.network.weights]
    step(*batch)
    assert float(step.optimizer.dynamic_scale) < 2.0**60
    for weight, old in zip(step.network.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)
