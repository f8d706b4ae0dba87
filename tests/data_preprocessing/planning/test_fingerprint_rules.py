import pytest

from data_preprocessing.planning.fingerprint import ChannelIntensities
from data_preprocessing.planning.fingerprint_rules import (
    ct_intensities,
    left_right_pair,
    median_box_share,
    median_shape,
    needs_nonzero_mask,
    normalization_name,
    rounded,
    slice_axis,
    target_spacing,
)
from data_preprocessing.planning.plan import coarsest_first
from tests.data_preprocessing.fingerprints import make_case, make_fingerprint, same_cases
from tests.data_preprocessing.samples import refused

THIN, CUBE = (20, 320, 320), (300, 320, 320)  # (z, y, x): few and many slices
# One case in ten is as fine as 3 mm: the 10th percentile of these twenty lies at 3.9 mm.
THICKNESSES = [3.0, 3.0, *[4.0] * 8, *[10.0] * 10]


def with_thicknesses(thicknesses, shape, axis=0, in_plane=1.0):
    """Cases whose spacing along `axis` varies."""
    cases = []
    for index, thickness in enumerate(thicknesses):
        spacing, size = [in_plane] * 2, list(shape[1:])
        spacing.insert(axis, thickness)
        size.insert(axis, shape[0])
        cases.append(make_case(f"case_{index}", size, spacing))
    return make_fingerprint(cases)


def test_target_spacing_is_the_median_of_each_axis():
    spacings = [(1.0, 0.5, 2.0), (3.0, 0.7, 1.0), (1.2, 0.6, 1.5)]
    fingerprint = make_fingerprint([make_case(f"case_{i}", CUBE, spacing) for i, spacing in enumerate(spacings)])
    assert target_spacing(fingerprint) == (1.2, 0.6, 1.5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_thick_axis_of_few_slices_takes_its_10th_percentile(axis):
    expected = [1.0, 1.0]
    expected.insert(axis, 3.9)
    assert target_spacing(with_thicknesses(THICKNESSES, THIN, axis)) == pytest.approx(expected)


def test_a_thick_axis_of_many_slices_keeps_its_median():
    assert target_spacing(with_thicknesses(THICKNESSES, CUBE)) == (7.0, 1.0, 1.0)


def test_an_axis_of_few_slices_that_is_not_thick_keeps_its_median():
    assert target_spacing(with_thicknesses([1.0, 2.5, 3.0], THIN)) == (2.5, 1.0, 1.0)


@pytest.mark.parametrize(
    ("thickness", "fine", "expected"), [(3.0, 2.0, 3.0), (3.01, 2.0, 2.0)], ids=["three times", "more"]
)
def test_thick_means_over_three_times_the_next_spacing(thickness, fine, expected):
    fingerprint = with_thicknesses([*[fine] * 2, *[thickness] * 3], THIN)
    assert target_spacing(fingerprint)[0] == pytest.approx(expected)


@pytest.mark.parametrize(("slices", "expected"), [(106, 2.0), (107, 4.0)])
def test_few_slices_means_under_a_third_of_the_other_axes(slices, expected):
    assert target_spacing(with_thicknesses([2.0, 2.0, 4.0, 4.0, 4.0], (slices, 320, 320)))[0] == expected


def test_few_slices_are_counted_after_cropping():
    cases = [make_case(str(mm), CUBE, (mm, 1.0, 1.0), box_shape=THIN) for mm in (2.0, 2.1, 4.0, 4.1, 4.2)]
    assert target_spacing(make_fingerprint(cases))[0] == pytest.approx(2.04)


def test_the_thick_axis_never_becomes_finer_than_the_others_and_stays_first():
    # The kidney data set of nnU-Net's issue 230: 10th percentile 0.5 mm, 0.78 mm in plane, planned with 0.78 mm.
    fingerprint = with_thicknesses([0.5] * 3 + [3.0] * 7, (104, 512, 512), axis=2, in_plane=0.78125)
    spacing = target_spacing(fingerprint)
    assert spacing == pytest.approx((0.78125, 0.78125, 0.78125), abs=2e-5)
    assert coarsest_first(spacing) == (2, 0, 1)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_axis_across_single_slices_comes_first_however_thin_they_are(axis):
    fingerprint = with_thicknesses([0.2, 0.2, 0.3], (1, 320, 320), axis)
    assert slice_axis(fingerprint) == axis
    assert coarsest_first(target_spacing(fingerprint))[0] == axis


def test_volumes_have_no_axis_of_single_slices():
    assert slice_axis(same_cases(3, (2, 320, 320), (1, 1, 1))) is None


def test_the_median_shape_is_that_of_the_cropped_cases_on_the_target_spacing():
    cases = [
        make_case("a", (50, 60, 70), (3.0, 1.0, 1.0), box_shape=(10, 20, 31)),  # 20 x 20 x 62 at 1.5, 1, 0.5
        make_case("b", (50, 60, 70), (1.5, 0.5, 0.5), box_shape=(30, 50, 30)),  # 30 x 25 x 30
    ]
    assert median_shape(make_fingerprint(cases), (0, 1, 2), (1.5, 1.0, 0.5)) == (25.0, 22.5, 46.0)


def test_the_median_shape_is_in_network_order_as_the_spacing_is():
    fingerprint = same_cases(1, (10, 20, 30), (1.0, 2.0, 4.0))
    assert median_shape(fingerprint, (2, 0, 1), (2.0, 1.0, 1.0)) == (60.0, 10.0, 40.0)


@pytest.mark.parametrize(("shares", "expected"), [((0.1, 0.75, 0.9), False), ((0.1, 0.74, 1.0), True)])
def test_the_mask_is_used_where_the_median_share_of_the_box_is_under_three_quarters(shares, expected):
    fingerprint = make_fingerprint([make_case(str(share), box_share=share) for share in shares])
    assert median_box_share(fingerprint) == shares[1]
    assert needs_nonzero_mask(fingerprint) is expected


@pytest.mark.parametrize(
    ("channel", "name"),
    [
        ("CT", "ct"),
        (" ct ", "ct"),
        ("T2", "z_score"),
        ("not CT", "z_score"),
        ("noNorm", "none"),
        ("rescale_to_0_1", "rescale_0_1"),
        ("rgb_to_0_1", "rgb"),
    ],
)
def test_a_channel_is_normalised_by_its_name(channel, name):
    assert normalization_name(channel) == name


def test_ct_numbers_are_those_of_their_channel_to_six_digits():
    found = [ChannelIntensities(mean=1, std=1, low=0, high=2), ChannelIntensities(mean=1 / 3, std=2, low=-9, high=1e4)]
    fingerprint = make_fingerprint([make_case()], ("CT", "CT"), found)
    assert ct_intensities(fingerprint, 1).model_dump() == {"low": -9, "high": 1e4, "mean": 0.333333, "std": 2}


def test_ct_without_any_contrast_is_refused():
    flat = ChannelIntensities(mean=7, std=0, low=7, high=7)
    with refused("Task91_Tiny", "channel CT all have the value 7"):
        ct_intensities(make_fingerprint([make_case()], ("CT",), [flat]), 0)


@pytest.mark.parametrize(
    ("names", "pair"),
    [
        (["background", "heart", "right lung", "Left Lung"], ("right lung", "Left Lung")),
        (["left-left", "right-right"], ("left-left", "right-right")),
        (["lung_left", "heart"], None),
        (["heart", "liver"], None),
    ],
    ids=str,
)
def test_classes_that_differ_in_left_and_right_are_found(names, pair):
    assert left_right_pair(names) == pair


@pytest.mark.parametrize(("value", "expected"), [(0.7578124403953552, 0.7578124), (-1024.0, -1024.0), (0.0, 0.0)])
def test_rounding_keeps_significant_digits(value, expected):
    assert rounded(value, digits=7) == expected
