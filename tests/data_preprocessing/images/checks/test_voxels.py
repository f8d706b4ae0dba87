from pathlib import Path

import numpy as np
import pytest

from data_preprocessing.images.checks.finding import Row
from data_preprocessing.images.checks.voxels import measure
from data_preprocessing.images.volume_io import read_image
from data_preprocessing.transforms.normalize import Normalization, normalize
from tests.data_preprocessing.check_samples import (
    AFFINE,
    CASES,
    SHAPE,
    Sample,
    intensities,
    numbers,
    patch,
    said,
    with_value,
    write_sample,
)
from tests.data_preprocessing.samples import refused, save


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return write_sample(tmp_path)


# Images


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_or_infinity_in_an_image_is_an_error_and_refused_in_the_same_words(sample, dtype, value):
    save(sample.image(), with_value(intensities(dtype=dtype), value), AFFINE)
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.file) == ("error", Row.NOT_FINITE, str(sample.image()))
    with refused(said(finding), "NaN or Inf"):
        read_image((sample.image(),))


def test_voxels_beyond_float32_are_infinite(sample):
    save(sample.image(), with_value(intensities(dtype=np.float64), 1e39), AFFINE)
    assert sample.rows() == [Row.NOT_FINITE]
    with refused(sample.image(), "NaN or Inf"):
        read_image((sample.image(),))


def test_a_scaling_beyond_float32_is_infinite(sample):
    patch(sample.image(), "scl_slope", 3e38)
    assert sample.rows() == [Row.NOT_FINITE]
    with refused(sample.image(), "NaN or Inf"):
        read_image((sample.image(),))


@pytest.mark.parametrize("value", [0, 7])
def test_a_constant_image_is_a_warning_and_its_normalisation_is_finite(sample, value):
    save(sample.image(), np.full(SHAPE, value, np.int16), AFFINE)
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.file) == ("warning", Row.CONSTANT, str(sample.image()))
    assert f"channel MRI is {value} everywhere" in finding.problem
    volume = read_image((sample.image(),))
    assert np.isfinite(normalize(volume.array[..., 0], Normalization(name="z_score"))).all()


def test_the_constant_channel_of_several_is_named(sample):
    sample.describe(modality={"0": "T1", "1": "T2"})
    for case in CASES:
        save(sample.image(case), intensities((*SHAPE, 2)), AFFINE)
    voxels = intensities((*SHAPE, 2))
    voxels[..., 1] = 5
    save(sample.image(), voxels, AFFINE)
    (finding,) = sample.check()
    assert finding.row == Row.CONSTANT
    assert "channel T2" in finding.problem


def of_ct(sample: Sample, voxels: np.ndarray) -> None:
    """Makes a CT data set, proper but for case c."""
    sample.describe(modality={"0": "CT"})
    for case in CASES:
        save(sample.image(case), intensities() - 1000, AFFINE)
    save(sample.image(), voxels, AFFINE)


@pytest.mark.parametrize(
    ("voxels", "match"),
    [
        (intensities(dtype=np.float32) / 100, "lie in [0, 1]"),
        (intensities(dtype=np.uint8) % 2, "lie in [0, 1]"),
        (intensities() + 1024, "never negative"),
        (intensities() - 1, "never negative"),
    ],
)
def test_ct_without_hounsfield_units_is_a_warning(sample, voxels, match):
    of_ct(sample, voxels)
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.file) == ("warning", Row.NOT_HOUNSFIELD, str(sample.image()))
    assert match in finding.problem


def test_constant_ct_is_one_warning(sample):
    of_ct(sample, np.full(SHAPE, 5, np.int16))
    assert sample.rows() == [Row.CONSTANT]


def test_ct_stored_with_slope_and_intercept_is_handled(sample):
    of_ct(sample, intensities())
    patch(sample.image(), "scl_slope", 2)
    patch(sample.image(), "scl_inter", -1024)
    assert sample.check() == []
    np.testing.assert_array_equal(np.unique(read_image((sample.image(),)).array), np.unique(intensities()) * 2.0 - 1024)


def test_an_intercept_that_takes_the_negative_values_away_is_a_warning(sample):
    of_ct(sample, intensities() - 1000)
    patch(sample.image(), "scl_slope", 1)
    patch(sample.image(), "scl_inter", 1024)
    assert sample.rows() == [Row.NOT_HOUNSFIELD]


@pytest.mark.parametrize("name", ["ct", " CT "])
def test_ct_is_recognised_however_it_is_written(sample, name):
    sample.describe(modality={"0": name})
    assert set(sample.rows()) == {Row.NOT_HOUNSFIELD}


def test_an_mri_without_negative_values_is_handled(sample):
    save(sample.image(), intensities(dtype=np.float32) / 100, AFFINE)
    assert sample.check() == []


@pytest.mark.parametrize(("dtype", "value"), [(np.uint16, 65535), (np.int32, 70001), (np.int32, -70001)])
def test_values_beyond_16_bits_are_handled(sample, dtype, value):
    save(sample.image(), with_value(intensities(dtype=dtype), value), AFFINE)
    assert sample.check() == []
    assert value in read_image((sample.image(),)).array


@pytest.mark.parametrize("slope", [1.0, -2.5, 0.01])
def test_the_range_of_a_channel_is_that_of_its_scaled_voxels(slope):
    stored = np.random.default_rng(0).integers(-900, 900, (4, 5, 6))
    scaled = stored * slope + 3
    channel = measure("T1", stored, slope, 3)
    assert (channel.lowest, channel.highest) == pytest.approx((scaled.min(), scaled.max()))


# Channels


def test_one_time_point_is_handled(sample):
    save(sample.image(), intensities((*SHAPE, 1)), AFFINE)
    save(sample.label(), numbers()[..., np.newaxis], AFFINE)
    assert sample.check() == []


def test_channels_as_the_last_axis_are_handled(sample):
    sample.describe(modality={"0": "T1", "1": "T2"})
    for case in CASES:
        save(sample.image(case), intensities((*SHAPE, 2)), AFFINE)
    assert sample.check() == []


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_one_file_a_channel_is_handled(sample, suffix):
    sample.describe(modality={"0": "T1", "1": "T2"}, suffix=suffix)
    for case in CASES:
        sample.image(case).unlink()
        for channel in range(2):
            save(sample.image(case, channel).with_suffix(suffix), intensities(), AFFINE)
        save(sample.label(case).with_suffix(suffix), numbers(), AFFINE)
    assert sample.check() == []


def test_the_constant_channel_file_is_named(sample):
    sample.describe(modality={"0": "T1", "1": "T2"})
    for case in CASES:
        sample.image(case).unlink()
        for channel in range(2):
            save(sample.image(case, channel), intensities(), AFFINE)
    save(sample.image(channel=1), np.ones(SHAPE, np.int16), AFFINE)
    (finding,) = sample.check()
    assert (finding.row, finding.file) == (Row.CONSTANT, str(sample.image(channel=1)))
    assert "channel T2" in finding.problem


def test_channel_files_of_a_name_with_brackets_are_found(sample):
    sample.describe(cases=["a", "b", "d", "e", "c[1]"])
    save(sample.image("c[1]", channel=0), intensities(), AFFINE)
    save(sample.label("c[1]"), numbers(), AFFINE)
    assert sample.check() == []


@pytest.mark.parametrize(
    ("shape", "said_count"),
    [(SHAPE, "1 channel where"), ((*SHAPE, 3), "3 channels where"), ((*SHAPE, 4), "4 channels")],
)
def test_a_wrong_channel_count_is_an_error(sample, shape, said_count):
    sample.describe(modality={"0": "T1", "1": "T2"})
    for case in CASES:
        save(sample.image(case), intensities((*SHAPE, 2)), AFFINE)
    save(sample.image(), intensities(shape), AFFINE)
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.file) == ("error", Row.CHANNEL_COUNT, str(sample.image()))
    assert finding.problem.startswith(said_count)
    assert "(T1, T2)" in finding.problem


def test_a_missing_channel_file_is_an_error(sample):
    sample.describe(modality={"0": "T1", "1": "T2"})
    for case in CASES:
        sample.image(case).unlink()
        for channel in range(2):
            save(sample.image(case, channel), intensities(), AFFINE)
    sample.image(channel=1).unlink()
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.case) == ("error", Row.CHANNEL_COUNT, "c")
