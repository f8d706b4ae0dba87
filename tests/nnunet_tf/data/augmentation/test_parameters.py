"""Frequencies and ranges over many patches: the limits are five standard errors."""

import numpy as np
import pytest

from nnunet_tf.data.augmentation.parameters import draw_parameters, rotation_degrees

COUNT, PATCH = 40_000, (40, 56, 40)


def parameters(augmentation, patch=PATCH, channels=2):
    return draw_parameters(COUNT, patch, channels, augmentation, np.random.default_rng(0))


def assert_drawn(values, neutral, probability, low, high):
    drawn = values[values != neutral]
    assert abs(len(drawn) / values.size - probability) <= 5 * np.sqrt(probability * (1 - probability) / COUNT)
    assert low <= drawn.min() < low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) < drawn.max() <= high
    assert abs(drawn.mean() - (low + high) / 2) < 5 * (high - low) / np.sqrt(12 * len(drawn))


def assert_balanced(values, probability, low, high):
    """Below and above 1 equally often, uniformly on either side."""
    for part, ends in ((values < 1, (low, 1)), (values > 1, (1, high))):
        assert_drawn(np.where(part, values, 0), 0, probability / 2, *ends)


@pytest.mark.parametrize(
    ("name", "neutral", "probability", "low", "high"),
    [
        ("noise", 0, 0.1, 0, 0.1),
        ("blur", 0, 0.2 * 0.5, 0.5, 1),
        ("brightness", 1, 0.15, 0.75, 1.25),
        ("contrast", 1, 0.15, 0.75, 1.25),
        ("low_resolution", 1, 0.25 * 0.5, 0.5, 1),
    ],
)
def test_full_draws_each_step_as_often_and_as_strongly_as_nnunet(name, neutral, probability, low, high):
    assert_drawn(getattr(parameters("full"), name), neutral, probability, low, high)


@pytest.mark.parametrize(("name", "probability"), [("inverted_gamma", 0.1), ("gamma", 0.3)])
def test_gamma_is_below_and_above_1_equally_often(name, probability):
    assert_balanced(getattr(parameters("full"), name), probability, 0.7, 1.5)


def test_scaling_is_by_one_factor():
    scale = parameters("full").scale
    assert_drawn(scale[:, 0], 1, 0.2, 0.7, 1.4)
    assert (scale == scale[:, :1]).all()


@pytest.mark.parametrize("name", ["brightness", "contrast", "inverted_gamma", "gamma"])
def test_channels_draw_intensities_together_and_each_its_own_value(name):
    values = getattr(parameters("full", channels=4), name)
    drawn = values[(values != 1).any(axis=1)]
    assert (drawn != 1).all()
    assert abs(np.corrcoef(drawn.T)[np.triu_indices(4, 1)]).max() < 5 / np.sqrt(len(drawn))


def test_a_channel_is_blurred_along_each_axis_by_a_sigma_of_its_own():
    blur = parameters("full").blur
    drawn = blur[blur.any(axis=2)]
    assert (drawn > 0).all()
    assert abs(np.corrcoef(drawn.T)[np.triu_indices(3, 1)]).max() < 5 / np.sqrt(len(drawn))


@pytest.mark.parametrize("patch", [(20, 320, 256), (40, 224, 224), (40, 121, 40)])
def test_flat_patches_are_scaled_in_plane_only(patch):
    scale = parameters("full", patch).scale
    assert (scale[:, 0] == 1).all()
    assert_drawn(scale[:, 1], 1, 0.2, 0.7, 1.4)
    np.testing.assert_array_equal(scale[:, 1], scale[:, 2])


@pytest.mark.parametrize("patch", [(40, 56, 40), (40, 120, 40), (64, 192, 192)])
def test_patches_that_are_not_flat_are_scaled_along_all_axes(patch):
    assert_drawn(parameters("full", patch).scale[:, 0], 1, 0.2, 0.7, 1.4)


def test_rotation_is_drawn_about_all_three_axes_at_once():
    rotation = parameters("full").rotation
    assert (rotation.any(axis=1) == rotation.all(axis=1)).all()
    assert_drawn(np.degrees(rotation[:, 1]), 0, 0.2, -30, 30)


def test_mirroring_is_drawn_for_each_axis_on_its_own():
    mirror = parameters("full").mirror
    counts = np.bincount(mirror @ [4, 2, 1], minlength=8) / COUNT
    np.testing.assert_allclose(counts, 1 / 8, atol=5 * np.sqrt(1 / 8 / COUNT))


def test_channels_draw_blur_and_low_resolution_apart_within_a_patch_that_draws_them():
    drawn = parameters("full")
    for values, neutral, probability in ((drawn.blur, 0, 0.2), (drawn.low_resolution, 1, 0.25)):
        is_drawn = (values != neutral).reshape(COUNT, 2, -1).any(axis=2)
        both, any_channel = is_drawn.all(axis=1).mean(), is_drawn.any(axis=1).mean()
        assert abs(both - probability / 4) < 0.01
        assert abs(any_channel - probability * 3 / 4) < 0.015


def test_basic_draws_noise_brightness_and_mirroring_only():
    drawn = parameters("basic")
    assert_drawn(drawn.noise, 0, 0.1, 0, 0.1)
    assert_drawn(drawn.brightness, 1, 0.15, 0.75, 1.25)
    assert abs(drawn.mirror.mean() - 0.5) < 0.01
    assert not drawn.rotation.any() and not drawn.blur.any()
    for values in (drawn.scale, drawn.contrast, drawn.low_resolution, drawn.inverted_gamma, drawn.gamma):
        assert (values == 1).all()


def test_crops_draws_crops_offset_and_mirroring_only():
    drawn = parameters("crops", (1, 56, 40))
    assert_drawn(drawn.offset, 0, 1, -0.2, 0.2)
    assert_drawn(drawn.crop[:, 1:], 0, 1, 0, 0.3)
    assert not drawn.crop[:, 0].any()
    np.testing.assert_allclose(drawn.mirror.mean(axis=0), [0, 0.5, 0.5], atol=0.02)
    assert not drawn.rotation.any() and not drawn.noise.any()
    for values in (drawn.scale, drawn.brightness, drawn.contrast, drawn.low_resolution, drawn.gamma):
        assert (values == 1).all()


def test_flips_draws_quarter_turns_and_mirroring_along_x_only():
    drawn = parameters("flips", (1, 56, 40))
    turns, counts = np.unique(np.round(drawn.rotation[:, 0] / (np.pi / 2)), return_counts=True)
    assert turns.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(counts / COUNT, 1 / 4, atol=0.02)
    assert not drawn.rotation[:, 1:].any()
    np.testing.assert_allclose(drawn.mirror.mean(axis=0), [0, 0, 0.5], atol=0.02)
    for values in (drawn.crop, drawn.offset, drawn.noise):
        assert not values.any()
    for values in (drawn.scale, drawn.brightness, drawn.contrast, drawn.low_resolution, drawn.gamma):
        assert (values == 1).all()


def test_none_draws_nothing():
    drawn = parameters("none")
    for values in (drawn.rotation, drawn.noise, drawn.blur, drawn.mirror, drawn.crop, drawn.offset):
        assert not values.any()
    for values in (drawn.scale, drawn.brightness, drawn.contrast, drawn.low_resolution, drawn.gamma):
        assert (values == 1).all()


@pytest.mark.parametrize(
    ("patch", "degrees"),
    [
        ((40, 56, 40), (30, 30, 30)),
        ((80, 192, 160), (30, 30, 30)),
        ((20, 320, 256), (180, 0, 0)),
        ((1, 56, 40), (180, 0, 0)),
        ((1, 64, 40), (15, 0, 0)),
    ],
)
def test_flat_and_2d_patches_are_rotated_in_plane(patch, degrees):
    assert rotation_degrees(patch) == degrees


def test_2d_patches_are_not_mirrored_along_their_first_axis():
    assert not parameters("full", (1, 56, 40)).mirror[:, 0].any()
