import warnings

import numpy as np
import pytest
from pydantic import ValidationError

from data_preprocessing.transforms.normalize import Normalization, normalize

CT = Normalization(name="ct", low=-17, high=201, mean=99.4, std=39.36)
KINDS = [CT, *(Normalization(name=name) for name in ("z_score", "rescale_0_1", "rgb", "none"))]


@pytest.fixture
def channel():
    return np.random.default_rng(0).normal(60, 150, (5, 6, 7)).astype(np.float32)


def expected_of(name, channel):
    values = channel.astype(np.float64)
    match name:
        case "ct":
            return (np.minimum(np.maximum(values, -17), 201) - 99.4) / 39.36
        case "z_score":
            return (values - values.mean()) / values.std()
        case "rescale_0_1":
            return (values - values.min()) / (values.max() - values.min())
        case "rgb":
            return values / 255
        case "none":
            return values


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_kind_is_its_formula(kind, channel):
    np.testing.assert_allclose(normalize(channel, kind), expected_of(kind.name, channel), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, np.float64])
def test_the_result_is_float32_whatever_comes_in(kind, dtype):
    assert normalize(np.arange(24).reshape(2, 3, 4).astype(dtype), kind).dtype == np.float32


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_input_stays_as_it_was(kind, channel):
    before = channel.copy()
    normalize(channel, kind)
    np.testing.assert_array_equal(channel, before)


@pytest.mark.parametrize("name", ["z_score", "rescale_0_1"])
@pytest.mark.parametrize("value", [0.0, 0.1, -1024.0, 1e6])
def test_a_constant_channel_becomes_zero_without_a_warning(name, value):
    constant = np.full((3, 4, 5), value, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        normalized = normalize(constant, Normalization(name=name))
    np.testing.assert_array_equal(normalized, np.zeros((3, 4, 5)))


def test_z_score_with_a_mask_takes_its_statistics_inside(channel):
    mask = np.zeros(channel.shape, bool)
    mask[1:4, 2:5, 3:6] = True
    inside = channel[mask].astype(np.float64)
    expected = (inside - inside.mean()) / inside.std()
    np.testing.assert_allclose(normalize(channel, Normalization(name="z_score"), mask)[mask], expected, atol=1e-5)


def test_z_score_with_a_mask_leaves_zero_outside(channel):
    mask = np.zeros(channel.shape, bool)
    mask[1:4, 2:5, 3:6] = True
    assert not normalize(channel, Normalization(name="z_score"), mask)[~mask].any()


def test_an_empty_mask_gives_zeros_without_a_warning(channel):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        normalized = normalize(channel, Normalization(name="z_score"), np.zeros(channel.shape, bool))
    np.testing.assert_array_equal(normalized, np.zeros(channel.shape))


def test_z_score_keeps_its_precision_far_from_zero():
    channel = 1e6 + np.random.default_rng(0).integers(-8, 8, (20, 20, 20)).astype(np.float32)
    normalized = normalize(channel, Normalization(name="z_score"))
    assert normalized.mean(dtype=np.float64) == pytest.approx(0, abs=1e-2)
    assert normalized.std(dtype=np.float64) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("missing", ["low", "high", "mean", "std"])
def test_ct_needs_all_its_numbers(missing):
    numbers = {"low": -17, "high": 201, "mean": 99.4, "std": 39.36}
    del numbers[missing]
    with pytest.raises(ValidationError, match="ct needs them all"):
        Normalization(name="ct", **numbers)


def test_the_other_kinds_take_no_numbers():
    with pytest.raises(ValidationError, match="belong to ct"):
        Normalization(name="z_score", low=0, high=1, mean=0, std=1)
