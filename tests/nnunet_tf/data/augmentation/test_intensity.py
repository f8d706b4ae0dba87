"""Each step against NumPy or SciPy with the same parameters, on two samples of which the second draws nothing."""

import numpy as np
import pytest

from nnunet_tf.data.augmentation import intensity
from tests.nnunet_tf.data import oracles
from tests.nnunet_tf.data.samples import many_channels, run_step

SHAPES = [(8, 10, 12, 1), (8, 10, 12, 3), (14, 12, 2)]


def of_channels(shape, *values):
    """The first of these values as the parameters of the channels, which differ."""
    return np.array(values[: shape[-1]])


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
def test_brightness_multiplies_each_channel_by_its_factor(shape):
    image, factor = many_channels(shape), of_channels(shape, 1.2, 0.8, 1.1)
    changed = apply(intensity.change_brightness, image, factor, np.ones(shape[-1]))
    np.testing.assert_allclose(changed, image * factor, rtol=1e-6)


@pytest.mark.parametrize("drawing", [0, 1])
def test_a_factor_that_is_neutral_for_one_channel_is_applied_to_the_other(drawing):
    image = many_channels(SHAPES[2])
    factor = np.where(np.arange(2) == drawing, 1.25, 1)
    changed = apply(intensity.change_brightness, image, factor, np.ones(2))
    np.testing.assert_allclose(changed, image * factor, rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("factors", [(0.75, 1.25, 1.1), (1.25, 0.8, 1)])
def test_contrast_is_about_the_mean_of_each_channel_and_keeps_its_range(shape, factors):
    image, factor = many_channels(shape), of_channels(shape, *factors)
    changed = apply(lambda x, f: intensity.change_contrast(x, f, len(shape) - 1), image, factor, np.ones(shape[-1]))
    np.testing.assert_allclose(changed, oracles.change_contrast(image, factor), atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("exponents", [(0.7, 1.5, 1.2), (1.5, 0.8, 1)])
@pytest.mark.parametrize("inverted", [False, True])
def test_gamma_keeps_mean_and_deviation_of_each_channel(shape, exponents, inverted):
    image, axes, exponent = many_channels(shape), tuple(range(len(shape) - 1)), of_channels(shape, *exponents)
    neutral = np.ones(shape[-1])
    changed = apply(lambda x, e: intensity.change_gamma(x, e, len(axes), inverted), image, exponent, neutral)
    np.testing.assert_allclose(changed, oracles.change_gamma(image, exponent, inverted), atol=2e-5)
    np.testing.assert_allclose(changed.mean(axis=axes), image.mean(axis=axes), atol=1e-4)
    np.testing.assert_allclose(changed.std(axis=axes), image.std(axis=axes), rtol=1e-4)


def test_gamma_leaves_a_constant_image_as_it_is():
    image = np.full((4, 5, 6, 1), 2.5, np.float32)
    changed = apply(lambda x, e: intensity.change_gamma(x, e, 3, False), image, [1.5], [1])
    np.testing.assert_allclose(changed, image, rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_channel_is_blurred_by_its_own_sigma_along_each_axis(shape):
    image, channels, axes = many_channels(shape), shape[-1], len(shape) - 1
    sigma = of_channels(shape, (0.6, 1.0, 0.5), (0, 0, 0), (0.9, 0.7, 0.8))[:, :axes]
    changed = apply(lambda x, s: intensity.blur(x, s, channels), image, sigma, np.zeros((channels, axes)))
    np.testing.assert_allclose(changed, oracles.blur(image, sigma), atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_channel_is_sampled_down_to_its_own_size_and_up_again(shape):
    image, patch, channels = many_channels(shape), shape[:-1], shape[-1]
    sizes = np.array([np.array(patch) // 2, np.zeros(len(patch)), np.array(patch) * 3 // 4])[:channels]
    changed = apply(
        lambda x, s: intensity.lower_resolution(x, s, channels, patch), image, sizes, np.zeros((channels, len(patch)))
    )
    np.testing.assert_allclose(changed, oracles.lower_resolution(image, sizes), atol=1e-5)


def cleared(image, before, masked, changed=True):
    channels = image.shape[-1]
    return run_step(
        lambda x, y, c: intensity.clear_outside(x, y, c, masked, channels), [[image], [before]], [np.array([changed])]
    )[0][0]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_was_0_in_all_channels_is_0_again(shape):
    random = np.random.default_rng(0)
    before = random.normal(size=shape).astype(np.float32) * (random.random(shape) < 0.5)  # 0 in some channels or in all
    image = random.normal(size=shape).astype(np.float32)
    outside = (before == 0).all(axis=-1)
    assert 0.05 < outside.mean() < 0.6
    expected = np.where(outside[..., np.newaxis], 0, image)
    np.testing.assert_array_equal(cleared(image, before, range(shape[-1])), expected)
    np.testing.assert_array_equal(cleared(image, before, range(shape[-1]), changed=False), image)


def test_only_channels_under_the_mask_say_where_it_is_and_are_cleared():
    random = np.random.default_rng(0)
    before = random.normal(size=(6, 7, 8, 3)).astype(np.float32)
    outside = random.random(before.shape[:3]) < 0.5
    before[..., ::2][outside] = 0  # the channel between them is never 0
    image = random.normal(size=before.shape).astype(np.float32)
    expected = image.copy()
    expected[..., ::2][outside] = 0
    np.testing.assert_array_equal(cleared(image, before, [0, 2]), expected)
