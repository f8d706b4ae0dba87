import keras
import numpy as np
import pytest
import tensorflow as tf

from nnunet_tf.networks.layers import EPSILON, Conv2D, Conv3D, InstanceNormalization, LeakyReLUOfSum

LARGE = [(2, 64, 64, 16), (3, 16, 32, 32, 8)]  # enough for the operations of a processor
SHAPES = [(2, 5, 6, 3), (3, 4, 5, 6, 2), (1, 2, 2, 2, 7), *LARGE]
SLOPES = [None, 0.0, 0.01, 0.3]


def stock(negative_slope, dtype=None):
    layers = [keras.layers.GroupNormalization(groups=-1, epsilon=EPSILON, dtype=dtype)]
    if negative_slope is not None:
        layers.append(keras.layers.LeakyReLU(negative_slope=negative_slope, dtype=dtype))
    return keras.Sequential(layers)


def outputs_and_gradients(layer, inputs, weights, compiled=False):
    """Of the outputs, and by the inputs, scales and offsets, all float32."""
    inputs = tf.convert_to_tensor(inputs)
    if not layer.built:
        layer.build(inputs.shape)
    for variable, value in zip(layer.trainable_weights, weights, strict=True):
        variable.assign(value)

    def both(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
            pattern = 1.5 + tf.reshape(tf.cos(tf.range(tf.size(outputs), dtype=tf.float32)), tf.shape(outputs))
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * pattern)
        return outputs, *tape.gradient(loss, [inputs, *(weight.value for weight in layer.trainable_weights)])

    if compiled:
        both = tf.function(both, jit_compile=True)
    return [np.array(tf.cast(value, tf.float32)) for value in both(inputs)]


def draw(shape, mean=0.0):
    random = np.random.default_rng(0)
    inputs = (random.normal(size=shape) * 3 + mean).astype(np.float32)
    return inputs, random.normal(size=(2, shape[-1])).astype(np.float32)


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_equal_those_of_keras(shape, slope):
    inputs, weights = draw(shape)
    ours = outputs_and_gradients(InstanceNormalization(negative_slope=slope), inputs, weights)
    theirs = outputs_and_gradients(stock(slope), inputs, weights)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * max(2, np.abs(other).max()))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("size", "quick"), [(64, True), (63, False), (None, False)])
def test_large_samples_of_known_number_take_the_operations_of_a_processor(size, quick, dtype):
    if tf.config.list_logical_devices("GPU"):
        pytest.skip("there is a GPU")
    layer = InstanceNormalization(dtype={"bfloat16": "mixed_bfloat16"}.get(dtype, dtype))
    layer.build((None, 64, 64, 16))
    shape = (1, size, 64, 16) if size else (None, 64, 64, 16)
    graph = tf.function(layer).get_concrete_function(tf.TensorSpec(shape, dtype)).graph
    kinds = {operation.type for operation in graph.get_operations()}
    assert ("FusedBatchNormV3" in kinds) == quick


@pytest.mark.parametrize("shape", [(2, 12, 10, 8, 3), (2, 16, 32, 32, 4)])
def test_channels_far_from_zero_keep_the_accuracy_of_float64(shape):
    inputs, weights = draw(shape, mean=5000)  # a one-pass variance is off by 10 percent here
    exact = inputs.astype(np.float64)
    centred = exact - exact.mean(axis=(1, 2, 3), keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(axis=(1, 2, 3), keepdims=True) + EPSILON) * weights[0] + weights[1]
    outputs, *_ = outputs_and_gradients(InstanceNormalization(), inputs, weights)
    np.testing.assert_allclose(outputs, expected, atol=5e-3)


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("shape", [(2, 6, 6, 6, 4), LARGE[1]])
def test_half_precision_stays_near_float32(policy, slope, shape):
    inputs, weights = draw(shape)
    dtype = policy.removeprefix("mixed_")
    layer = InstanceNormalization(negative_slope=slope, dtype=policy)
    half = outputs_and_gradients(layer, tf.cast(inputs, dtype), weights)
    full = outputs_and_gradients(stock(slope, "float32"), tf.cast(tf.cast(inputs, dtype), "float32"), weights)
    assert layer(inputs).dtype == dtype
    for one, other in zip(half, full, strict=True):
        np.testing.assert_allclose(one, other, atol=0.015 * np.abs(other).max())


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("shape", [(2, 4, 5, 6, 3), LARGE[1]])
def test_compiled_for_a_gpu_it_is_the_same(dtype, shape):
    inputs, weights = draw(shape)
    inputs = inputs.astype(dtype)
    layer = InstanceNormalization(negative_slope=0.01, dtype={"float16": "mixed_float16"}.get(dtype, dtype))
    eager = outputs_and_gradients(layer, inputs, weights)
    for one, other in zip(outputs_and_gradients(layer, inputs, weights, compiled=True), eager, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 if dtype == "float32" else 1e-2)


def test_a_batch_of_unknown_size_passes():
    layer = InstanceNormalization(negative_slope=0.01)
    inputs, weights = draw((3, 4, 4, 2))
    expected = outputs_and_gradients(layer, inputs, weights)[1]

    @tf.function(input_signature=[tf.TensorSpec((None, 4, 4, 2))])
    def gradient(inputs):
        pattern = 1.5 + tf.reshape(tf.cos(tf.range(tf.size(inputs), dtype=tf.float32)), tf.shape(inputs))
        return tf.gradients(tf.reduce_sum(layer(inputs) * pattern), inputs)[0]

    np.testing.assert_allclose(gradient(inputs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [4, 256])
def test_a_constant_channel_becomes_its_offset(size):
    layer = InstanceNormalization()
    layer.build((None, size, size, 1))
    layer.beta.assign([0.5])
    np.testing.assert_allclose(layer(np.full((1, size, size, 1), 7.0, np.float32)), 0.5, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 4, 4, 1), (1, 256, 256, 1)])
def test_a_gradient_that_is_no_number_stays_one(shape):
    layer = InstanceNormalization(negative_slope=0.01)
    inputs, weights = draw(shape)
    inputs[0, 0, 0, 0] = np.nan
    assert np.isnan(outputs_and_gradients(layer, inputs, weights)[1]).all()


def test_the_layer_survives_serialisation():
    before = InstanceNormalization(0.01, negative_slope=0.2, gamma_initializer="zeros")
    after = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(before))
    assert isinstance(after, InstanceNormalization)
    assert (after.epsilon, after.negative_slope, after.gamma_initializer) == (0.01, 0.2, "zeros")


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.3])
def test_the_leaky_relu_of_a_sum_is_that_of_keras(slope):
    inputs, _ = draw((2, 4, 4, 3))
    layers = LeakyReLUOfSum(negative_slope=slope), keras.layers.LeakyReLU(negative_slope=slope)
    ours, theirs = (outputs_and_gradients(layer, inputs, []) for layer in layers)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


DIMENSIONS = [(2, Conv2D, keras.layers.Conv2D), (3, Conv3D, keras.layers.Conv3D)]
NORMALIZATIONS = [InstanceNormalization, keras.layers.BatchNormalization]


def normalized_convolution(convolution, dim, norm, several=False):
    """Of an image of 3 channels; of one of 2 beside it as well where there are `several`."""
    images = [keras.Input((8,) * dim + (channels,)) for channels in (3, 2)[: 1 + several]]
    values = images
    if not several or convolution not in (Conv2D, Conv3D):
        values = keras.layers.Concatenate()(images) if several else images[0]
    values = convolution(5, 3, strides=2, padding="same", bias_initializer="random_normal")(values)
    return keras.Model(images, norm()(values))


def values_and_gradients(network):
    random = np.random.default_rng(0)
    images = [tf.constant(random.normal(size=(2, *image.shape[1:])), tf.float32) for image in network.inputs]
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = network(images, training=True)
        loss = tf.reduce_sum(tf.sin(3 * outputs))
    weights = {weight.name: weight.value for weight in network.trainable_weights}
    named = {f"image {index}": image for index, image in enumerate(images)}
    return {"outputs": outputs, **tape.gradient(loss, {**named, **weights})}


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("norm", NORMALIZATIONS)
@pytest.mark.parametrize(("dim", "ours", "theirs"), DIMENSIONS)
def test_a_bias_that_is_subtracted_again_changes_nothing_but_its_own_gradient(
    tmp_path, dim, ours, theirs, norm, several
):
    networks = [normalized_convolution(convolution, dim, norm, several) for convolution in (ours, theirs)]
    networks[0].save_weights(tmp_path / "a.weights.h5")
    networks[1].load_weights(tmp_path / "a.weights.h5")  # the file names the layers as Keras' own
    results = [values_and_gradients(network) for network in networks]
    bias, rounding = (result.pop("bias") for result in results)
    assert not bias.numpy().any()
    np.testing.assert_allclose(rounding, bias, atol=1e-3)
    assert len(results[0]) == 5 + several
    for name, value in results[0].items():
        # Of several inputs the channels are summed in another order: it rounds as the largest value does.
        tolerance = 3e-6 * np.abs(value).max() if several else 1e-5
        np.testing.assert_allclose(value, results[1][name], rtol=1e-5, atol=tolerance, err_msg=name)


@pytest.mark.parametrize(("dim", "convolution"), [(2, Conv2D), (3, Conv3D)])
def test_several_inputs_are_convolved_apart_on_a_processor_and_together_elsewhere(monkeypatch, dim, convolution):
    counts, results = [], []
    for on_processor in (True, False):
        keras.utils.set_random_seed(0)
        monkeypatch.setattr("nnunet_tf.networks.layers._computes_on_processor", lambda answer=on_processor: answer)
        network = normalized_convolution(convolution, dim, InstanceNormalization, several=True)
        graph = tf.function(lambda *images, network=network: network(images)).get_concrete_function(
            *(tf.TensorSpec((2, *image.shape[1:])) for image in network.inputs)
        )
        counts.append([operation.type for operation in graph.graph.get_operations()].count(f"Conv{dim}D"))
        results.append(values_and_gradients(network))
    assert counts == [2, 1]
    for name, value in results[0].items():
        tolerance = 3e-6 * np.abs(value).max()
        np.testing.assert_allclose(value, results[1][name], rtol=1e-5, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("several", [False, True])
def test_convolutions_are_made_again_from_what_they_say_of_themselves(tmp_path, several):
    network = normalized_convolution(Conv3D, 3, InstanceNormalization, several)
    network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in network.layers]
    assert type(again.layers[1 + several]) is Conv3D
    for name, value in values_and_gradients(again).items():
        np.testing.assert_array_equal(value, values_and_gradients(network)[name])
