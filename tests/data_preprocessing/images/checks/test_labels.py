"""What checking says of the numbers in label files."""

from pathlib import Path

import numpy as np
import pytest

from data_preprocessing.dataset.training_case import class_indices
from data_preprocessing.images.checks.finding import Row
from data_preprocessing.images.volume_io import load_label
from tests.data_preprocessing.check_samples import (
    AFFINE,
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


@pytest.mark.parametrize("value", [0.5, 1.002, 2.998])
def test_a_fractional_label_is_an_error_and_refused_in_the_same_words(sample, value):
    save(sample.label(), with_value(numbers(np.float32), value), AFFINE)
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.file) == ("error", Row.FRACTIONAL_LABEL, str(sample.label()))
    with refused(said(finding), "fractional"):
        load_label(sample.label())


@pytest.mark.parametrize(
    ("dtype", "value", "match"),
    [
        (np.int16, -1, "negative label value -1"),
        (np.float32, -3, "negative label value -3"),
        (np.float32, np.nan, "NaN or infinite"),
        (np.float64, -np.inf, "NaN or infinite"),
    ],
)
def test_a_negative_or_nan_label_is_an_error_and_refused_in_the_same_words(sample, dtype, value, match):
    save(sample.label(), with_value(numbers(dtype), value), AFFINE)
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.file) == ("error", Row.NEGATIVE_LABEL, str(sample.label()))
    with refused(said(finding), match):
        load_label(sample.label())


def test_a_label_both_fractional_and_negative_is_two_errors(sample):
    voxels = with_value(numbers(np.float32), 0.5)
    voxels[0, 0, 0] = -2
    save(sample.label(), voxels, AFFINE)
    assert sample.rows() == [Row.FRACTIONAL_LABEL, Row.NEGATIVE_LABEL]


@pytest.mark.parametrize("value", [0.9999999, 1.0000001, 0.9995, 1.9991, -0.0005])
def test_a_float_label_close_to_integers_is_handled(sample, value):
    voxels = with_value(numbers(np.float64), value)
    save(sample.label(), voxels, AFFINE)
    assert sample.check() == []
    labels, _ = load_label(sample.label())
    assert np.bincount(labels.ravel()).tolist() == np.bincount(np.rint(voxels).astype(int).ravel()).tolist()


def test_a_label_with_slope_and_intercept_is_checked_as_it_is_read(sample):
    patch(sample.label(), "scl_slope", 1)
    patch(sample.label(), "scl_inter", 3)
    (finding,) = sample.check()
    assert finding.row == Row.UNDECLARED_LABEL
    assert finding.problem.startswith("label 3, 4, 5 is not declared")
    assert np.unique(load_label(sample.label())[0]).tolist() == [3, 4, 5]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int32])
def test_undeclared_labels_are_an_error_listing_them_and_refused_in_the_same_words(sample, dtype):
    voxels = with_value(numbers(dtype), 9)
    voxels[0, 0, 0] = 3
    save(sample.label(), voxels, AFFINE)
    (finding,) = sample.check()
    assert (finding.level, finding.row, finding.case) == ("error", Row.UNDECLARED_LABEL, "c")
    labels, _ = load_label(sample.label())
    with refused(said(finding), "label 3, 9 is not declared"):
        class_indices(labels, {0: "background", 1: "organ", 2: "lesion"}, sample.label())


def test_an_undeclared_float_label_is_told_as_it_is_rounded(sample):
    save(sample.label(), with_value(numbers(np.float32), 2.9995), AFFINE)
    (finding,) = sample.check()
    assert finding.problem.startswith("label 3 is not declared")


def test_many_undeclared_labels_are_cut_short(sample):
    save(sample.label(), np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE), AFFINE)
    (finding,) = sample.check()
    assert "label 3, 4, 5, 6, 7, ... is not declared" in finding.problem


def test_gaps_in_the_label_numbers_are_handled(sample):
    sample.describe(labels={"0": "background", "1": "organ", "2": "lesion", "40": "vessel"})
    save(sample.label(), with_value(numbers(), 40), AFFINE)
    assert sample.check() == []


def test_an_empty_label_among_others_is_handled(sample):
    save(sample.label(), np.zeros(SHAPE, np.uint8), AFFINE)
    assert sample.check() == []


def test_more_than_255_classes_are_handled(sample):
    shape, count = (7, 8, 9), 504
    sample.describe(labels={str(number): f"class {number}" for number in range(count)})
    save(sample.image(), intensities(shape), AFFINE)
    save(sample.label(), np.arange(count, dtype=np.uint16).reshape(shape), AFFINE)
    assert sample.check() == []
