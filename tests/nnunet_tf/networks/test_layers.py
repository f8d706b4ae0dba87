import keras
import numpy as np
import pytest
import tensorflow as tf

from nnunet_tf.networks.layers import InstanceNormalization


def outputs_and_gradients(layer, inputs, weights):
    inputs = tf.convert_to_tensor(inputs)
    layer.build(inputs.shape)
    layer.gamma.assign(weights[0])
    layer.beta.assign(weights[1])
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs)
        pattern = 1.5 + tf.reshape(tf.cos(tf.range(tf.size(outputs), dtype=tf.float32)), outputs.shape)
        loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * pattern)
    gradients = tape.gradient(loss, [inputs, layer.gamma.value, layer.beta.value])
    return [np.array(tf.cast(value, tf.float32)) for value in (outputs, *gradients)]


@pytest.mark.parametrize("shape", [(2, 5, 6, 3), (3, 4, 5, 6, 2), (1, 2, 2, 2, 7)])
def test_instance_normalization_and_its_gradient_equal_those_of_keras(shape):
    random = np.random.default_rng(0)
    inputs = (random.normal(size=shape) * 3 + 50).astype(np.float32)  # far from 0: a one-pass variance would fail
    weights = random.normal(size=(2, shape[-1])).astype(np.float32)
    ours = outputs_and_gradients(InstanceNormalization(), inputs, weights)
    theirs = outputs_and_gradients(keras.layers.GroupNormalization(groups=-1, epsilon=1e-5), inputs, weights)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_stays_near_float32(policy):
    random = np.random.default_rng(0)
    inputs = random.normal(size=(2, 6, 6, 6, 4)).astype(np.float32)
    weights = np.stack([random.uniform(0.5, 2, 4), random.normal(size=4)])
    full = outputs_and_gradients(InstanceNormalization(), inputs, weights)
    layer = InstanceNormalization(dtype=policy)
    half = outputs_and_gradients(layer, inputs, weights)
    assert layer(inputs).dtype == policy.removeprefix("mixed_")
    for one, other in zip(half, full, strict=True):
        np.testing.assert_allclose(one, other, atol=0.03 * np.abs(other).max())


def test_a_constant_channel_becomes_its_offset():
    layer = InstanceNormalization()
    layer.build((None, 4, 4, 1))
    layer.beta.assign([0.5])
    np.testing.assert_allclose(layer(np.full((1, 4, 4, 1), 7.0, np.float32)), 0.5, atol=1e-6)


def test_the_layer_survives_serialisation():
    layer = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(InstanceNormalization(0.01)))
    assert isinstance(layer, InstanceNormalization)
    assert layer.epsilon == 0.01
