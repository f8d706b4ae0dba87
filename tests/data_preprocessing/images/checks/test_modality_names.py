import pytest

from data_preprocessing.images.checks.finding import Row
from data_preprocessing.images.checks.voxels import Intensities, check_hounsfield, is_ct, modality_of
from data_preprocessing.planning.fingerprint_rules import normalization_name

CT = [
    "CT", "ct", " Ct ", "CTA", "CT scan", "ct-scan", "ct_scan", "Computed Tomography", "computed tomography (HU)",
    "contrast-enhanced CT", "CECT", "NCCT", "non-contrast CT", "low dose CT", "LDCT", "CBCT", "CT angiography",
    "portal venous phase CT", "CT image", "abdominal CT", "chest CT", "3D CT",
]  # fmt: skip
OTHER = [
    "MR", "MRI", "T1", "FLAIR", "PET", "PET/CT", "CT perfusion", "CT mask", "CBF", "direct", "octopus", "spectral",
    "synthetic CT of MR", "ADC", "", "image", "OCT", "SPECT", "noNorm", "CT z-score",
]  # fmt: skip


@pytest.mark.parametrize("name", CT)
def test_usual_names_of_ct_are_normalized_so(name):
    assert is_ct(name)
    assert normalization_name(name) == "ct"
    assert modality_of(name) == "CT"


@pytest.mark.parametrize("name", OTHER)
def test_other_names_are_not_taken_for_ct(name):
    assert not is_ct(name)
    assert normalization_name(name) != "ct"


@pytest.mark.parametrize(("low", "high"), [(-1024, 3071), (-1000, 1000), (-3024, 1500), (-2048, 2976.5)])
@pytest.mark.parametrize("name", ["PET", "image", "T3"])
def test_hounsfield_units_under_another_name_are_told(name, low, high):
    assert [finding.row for finding in check_hounsfield(Intensities(name, low, high))] == [Row.NOT_HOUNSFIELD]


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("CTA", -1024, 3071),
        ("MR", 0, 2000),
        ("MR phase", -4096, 4094),
        ("T1 phase", -1000, 1000),
        ("PET", 0, 30),
        ("image", -3, 4),
        ("image", -1024, -1024),
        ("image", -20000, 20000),
        ("noNorm", -1024, 3071),
        ("image", float("nan"), float("nan")),
    ],
)
def test_what_fits_its_name_is_not(name, low, high):
    assert check_hounsfield(Intensities(name, low, high)) == []


@pytest.mark.parametrize("name", ["CT scan", "CTA"])
def test_other_values_under_a_name_of_ct_are_told(name):
    assert [finding.row for finding in check_hounsfield(Intensities(name, 0, 1))] == [Row.NOT_HOUNSFIELD]
