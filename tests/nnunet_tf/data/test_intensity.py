"""Each step against NumPy or SciPy with the same parameters, on two samples of which the second draws nothing."""

import numpy as np
import pytest

from nnunet_tf.data import intensity
from tests.nnunet_tf.data import oracles
from tests.nnunet_tf.data.samples import many_channels, run_step

SHAPES = [(8, 10, 12, 1), (8, 10, 12, 3), (14, 12, 2)]


def apply(step, image, drawn, neutral):
    """The image after `step` with the parameter `drawn`, having checked that `neutral` leaves it bit for bit."""
    parameters = np.stack([np.asarray(value, np.float32) for value in (drawn, neutral)])
    changed, unchanged = run_step(step, [[image, image]], [parameters])[0]
    np.testing.assert_array_equal(unchanged, image)
    return changed


@pytest.mark.parametrize("shape", SHAPES)
def test_noise_has_the_drawn_deviation(shape):
    image = many_channels((20, 20, 20, 2)[: len(shape) - 1] + shape[-1:])
    noise = apply(lambda x, d: intensity.add_noise(x, d, seed=3), image, 0.1, 0) - image
    assert abs(noise.std() - 0.1) < 5 * 0.1 / np.sqrt(2 * noise.size)
    assert abs(noise.mean()) < 5 * 0.1 / np.sqrt(noise.size)


def test_the_seed_decides_the_noise():
    image = many_channels(SHAPES[0])
    first, same, other = (apply(lambda x, d, s=s: intensity.add_noise(x, d, seed=s), image, 0.1, 0) for s in (3, 3, 4))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("shape", SHAPES)
def test_brightness_multiplies(shape):
    image = many_channels(shape)
    np.testing.assert_allclose(apply(intensity.change_brightness, image, 1.2, 1), image * np.float32(1.2), rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("factor", [0.75, 1.25])
def test_contrast_is_about_the_mean_of_each_channel_and_keeps_its_range(shape, factor):
    image = many_channels(shape)
    changed = apply(lambda x, f: intensity.change_contrast(x, f, len(shape) - 1), image, factor, 1)
    np.testing.assert_allclose(changed, oracles.change_contrast(image, factor), atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("exponent", [0.7, 1.5])
@pytest.mark.parametrize("inverted", [False, True])
def test_gamma_keeps_mean_and_deviation_of_each_channel(shape, exponent, inverted):
    image, axes = many_channels(shape), tuple(range(len(shape) - 1))
    changed = apply(lambda x, e: intensity.change_gamma(x, e, len(axes), inverted), image, exponent, 1)
    np.testing.assert_allclose(changed, oracles.change_gamma(image, exponent, inverted), atol=2e-5)
    np.testing.assert_allclose(changed.mean(axis=axes), image.mean(axis=axes), atol=1e-4)
    np.testing.assert_allclose(changed.std(axis=axes), image.std(axis=axes), rtol=1e-4)


def test_gamma_leaves_a_constant_image_as_it_is():
    image = np.full((4, 5, 6, 1), 2.5, np.float32)
    changed = apply(lambda x, e: intensity.change_gamma(x, e, 3, False), image, 1.5, 1)
    np.testing.assert_allclose(changed, image, rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_channel_is_blurred_by_its_own_sigma(shape):
    image, channels = many_channels(shape), shape[-1]
    sigma = np.array([0.6, 0.0, 1.0])[:channels]
    changed = apply(lambda x, s: intensity.blur(x, s, channels), image, sigma, np.zeros(channels))
    np.testing.assert_allclose(changed, oracles.blur(image, sigma), atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_channel_is_sampled_down_to_its_own_size_and_up_again(shape):
    image, patch, channels = many_channels(shape), shape[:-1], shape[-1]
    sizes = np.array([np.array(patch) // 2, np.zeros(len(patch)), np.array(patch) * 3 // 4])[:channels]
    changed = apply(
        lambda x, s: intensity.lower_resolution(x, s, channels, patch), image, sizes, np.zeros((channels, len(patch)))
    )
    np.testing.assert_allclose(changed, oracles.lower_resolution(image, sizes), atol=1e-5)
