import csv
import json

import numpy as np
import pytest
from scipy import ndimage

from data_preprocessing.images.volume_io import load_label, read_image
from nnunet_tf.answers.flags import Ranges, StructureRange, find_flags, ranges_of, read_ranges, write_ranges
from nnunet_tf.answers.statistics import measure_case
from nnunet_tf.answers.statistics_files import read_cases, write_case, write_tables
from nnunet_tf.evaluation.scoring.structures import Structure
from tests.data_preprocessing.samples import LPS, OBLIQUE, RAS, save
from tests.nnunet_tf.inference.samples import tiny_plan

SHAPE = (14, 12, 10)  # RAS (x, y, z)
ORGAN, LESION, GONE = (
    Structure(name, value, (value,), (value,)) for name, value in (("organ", 4), ("lesion", 7), ("gone", 9))
)


@pytest.fixture(params=[RAS, LPS, *OBLIQUE], ids=str)
def layout(request):
    return request.param


def made_up():
    """RAS labels with two organs' pieces and a lesion, and an image."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:6, 2:5, 3:7] = 4
    labels[10:12, 8:9, 1:3] = 4
    labels[7, 5:7, 8:10] = 7
    return labels, np.random.default_rng(0).normal(100, 20, SHAPE).astype(np.float32)


def measured(tmp_path, layout, **more):
    labels, image = made_up()
    scan = save(tmp_path / "scan.nii.gz", layout.voxels(image), layout.affine())
    label = save(tmp_path / "label.nii.gz", layout.voxels(labels), layout.affine())
    volume = read_image((scan,))
    numbers, _ = load_label(label)
    return measure_case("scan", numbers, volume, [ORGAN, LESION, GONE], ["CT"], **more), layout.voxels(labels), layout


def test_every_number_is_that_of_the_file_itself(tmp_path, layout):
    case, stored, layout = measured(tmp_path, layout)
    affine, values = layout.affine(), layout.voxels(made_up()[1])
    for row, number in zip(case.structures, (4, 7), strict=False):
        places = np.argwhere(stored == number)
        assert row.voxels == len(places)
        assert row.volume_ml == pytest.approx(len(places) * abs(np.linalg.det(affine[:3, :3])) / 1000)
        center = affine @ [*places.mean(axis=0), 1]
        assert row.centroid_mm == pytest.approx(tuple(center[:3]), abs=1e-3)
        assert row.box == tuple(zip(places.min(axis=0), places.max(axis=0), strict=True))
        pieces, count = ndimage.label(stored == number, np.ones((3, 3, 3)))
        assert row.components == count
        assert row.largest_component == pytest.approx(np.bincount(pieces.ravel())[1:].max() / len(places))
        inside = values[stored == number].astype(np.float64)
        found = row.intensities["CT"]
        assert found.mean == pytest.approx(inside.mean(), rel=1e-6)
        assert found.deviation == pytest.approx(inside.std(), rel=1e-6)
        expected = np.percentile(inside, [0, 5, 25, 50, 75, 95, 100])
        names = ("minimum", "p05", "p25", "median", "p75", "p95", "maximum")
        np.testing.assert_allclose([getattr(found, name) for name in names], expected, rtol=1e-5)
    gone = case.structures[2]
    assert (gone.voxels, gone.components, gone.box, gone.intensities) == (0, 0, None, {})


def test_a_region_is_the_union_of_the_numbers_painted(tmp_path):
    labels, image = made_up()
    volume = read_image((save(tmp_path / "scan.nii.gz", image),))
    numbers, _ = load_label(save(tmp_path / "label.nii.gz", labels))
    whole = Structure("whole", 4, (4, 7), (1, 2))
    (row,) = measure_case("scan", numbers, volume, [whole], ["CT"]).structures
    assert row.voxels == np.count_nonzero(labels)
    assert row.components == ndimage.label(labels > 0, np.ones((3, 3, 3)))[1]


def test_pictures_are_measured_in_pixels_and_the_heading_says_so(tmp_path):
    case, stored, _ = measured(tmp_path, LPS, in_pixels=True)
    row = case.structures[0]
    assert row.volume_ml is None
    assert row.centroid_pixels == pytest.approx(tuple(np.argwhere(stored == 4).mean(axis=0)))
    write_tables(tmp_path, [case])
    heading = (tmp_path / "statistics.csv").read_text().splitlines()[0].split(",")
    assert "area_pixels" in heading
    assert "centroid_x_pixels" in heading
    assert not [name for name in heading if "mm" in name.split("_") or "ml" in name.split("_")]


def test_the_table_holds_every_case_and_structure_and_reads_back(tmp_path):
    case, _, _ = measured(tmp_path, RAS)
    for name in ("b", "a"):
        write_case(tmp_path, case.model_copy(update={"case": name}))
    cases = read_cases(tmp_path)
    write_tables(tmp_path, cases)
    rows = list(csv.DictReader((tmp_path / "statistics.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["case"], row["structure"]) for row in rows] == [
        (name, structure) for name in "ab" for structure in ("organ", "lesion", "gone")
    ]
    assert float(rows[0]["volume_ml"]) == pytest.approx(case.structures[0].volume_ml, rel=1e-6)
    assert rows[2]["voxels"] == "0"
    assert rows[2]["intensity_mean"] == ""
    assert [each["case"] for each in json.loads((tmp_path / "statistics.json").read_text())] == ["a", "b"]


def test_entropy_is_averaged_over_the_surface(tmp_path):
    entropy = np.ones(SHAPE[::-1], np.float32)
    labels = made_up()[0].transpose(2, 1, 0)
    entropy[ndimage.binary_erosion(labels == 4)] = 0
    case, _, _ = measured(tmp_path, RAS, entropy=entropy, spread=entropy / 2)
    assert case.structures[0].border_entropy == pytest.approx(1)
    assert case.structures[0].border_spread == pytest.approx(0.5)


class TestFlags:
    """What differs from training's cases."""

    def codes(self, case, ranges=None, plan=None):
        return sorted((flag.code, flag.structure) for flag in find_flags(case, plan, ranges))

    def test_a_case_is_not_flagged_by_ranges_of_itself(self, tmp_path):
        case, _, _ = measured(tmp_path, RAS)
        write_ranges(tmp_path / "model", ranges_of([case]))
        assert self.codes(case, read_ranges(tmp_path / "model" / "fold_0")) == []

    def test_each_kind_of_difference_is_flagged(self, tmp_path):
        case, _, _ = measured(tmp_path, RAS)
        volume = case.structures[0].volume_ml
        mean = case.structures[1].intensities["CT"].mean
        ranges = Ranges(
            cases=5,
            spacing=((9, 9), (9, 9), (9, 9)),
            structures={
                "organ": StructureRange(cases=5, volume_ml=(volume * 2, volume * 3), components=(1, 1)),
                "lesion": StructureRange(cases=5, mean_intensity={"CT": (mean + 50, mean + 60)}),
            },
        )
        assert self.codes(case, ranges) == [("intensity", "lesion"), ("spacing", ""), ("volume", "organ")]
        pieces = case.structures[0].model_copy(update={"components": 3, "border_entropy": 0.65, "border_spread": 0.4})
        changed = case.model_copy(update={"structures": [pieces]})
        known = Ranges(cases=5, structures={"organ": StructureRange(cases=5, components=(1, 1))})
        assert self.codes(changed, known) == [("components", "organ"), ("entropy", "organ"), ("spread", "organ")]

    def test_nothing_found_and_a_spacing_far_from_the_plans_need_no_ranges(self, tmp_path):
        case, _, _ = measured(tmp_path, RAS)
        empty = case.model_copy(update={"structures": case.structures[2:]})
        assert self.codes(empty) == [("empty", "")]
        assert self.codes(case, plan=tiny_plan(spacing=(20.0, 20.0, 20.0))) == [("spacing", "")]
        assert self.codes(case, plan=tiny_plan(spacing=tuple(sorted(case.spacing)))) == []
