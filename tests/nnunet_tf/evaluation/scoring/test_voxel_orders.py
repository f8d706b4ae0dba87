"""Predictions, labels and scans on one grid in space are compared and drawn, whatever their orders of voxels."""

import itertools

import nibabel as nib
import numpy as np
import pytest
from matplotlib.image import imread

from data_preprocessing.common.errors import UserError
from nnunet_tf.evaluation.find_postprocessing import find_postprocessing
from nnunet_tf.evaluation.reports.worst_cases import draw_case
from nnunet_tf.evaluation.scoring.case import load_pair, score_case
from nnunet_tf.evaluation.scoring.folder import FilePair, evaluate, on_other_grids
from nnunet_tf.evaluation.scoring.options import ScoringOptions
from nnunet_tf.evaluation.scoring.structures import class_structures
from tests.data_preprocessing.samples import LAYOUTS, LPS, RAS, Layout, moved

SHAPE, SPACING = (9, 8, 7), (0.5, 1.5, 2.5)
NAMES = {1: "organ", 2: "lesion"}
TRUST = ScoringOptions(trust_grid=True)


def ras_label(shift=0):
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[1 + shift : 5 + shift, 1:4, 2:6] = 1
    voxels[2:4, 2, 3 : 5 + shift] = 2
    return voxels


def save(path, ras, layout=RAS, by=0.0, spacing=SPACING):
    path.parent.mkdir(exist_ok=True)
    affine = moved(layout.affine(SHAPE, spacing), 0, 3, by)
    nib.save(nib.Nifti1Image(np.ascontiguousarray(layout.voxels(ras)), affine), path)
    return path


PAIRS = [
    *((layout, RAS) for layout in LAYOUTS),
    *((RAS, layout) for layout in LAYOUTS),
    *itertools.product(LAYOUTS[::5], repeat=2),
]


def test_scores_are_the_same_in_all_orientations_of_either_side(tmp_path):
    structures = class_structures({0: "background"} | NAMES)
    predictions = {layout: save(tmp_path / "p" / f"{layout}.nii", ras_label(1), layout) for layout in LAYOUTS}
    truths = {layout: save(tmp_path / "t" / f"{layout}.nii", ras_label(), layout) for layout in LAYOUTS}
    expected = score_case("a", predictions[RAS], truths[RAS], structures)
    one, other = ras_label(1) == 1, ras_label() == 1
    assert expected[0].dice == pytest.approx(2 * np.sum(one & other) / (np.sum(one) + np.sum(other)))
    for prediction, truth in PAIRS:
        rows = score_case("a", predictions[prediction], truths[truth], structures)
        for row, wanted in zip(rows, expected, strict=True):
            assert (row.dice, row.outcome) == (wanted.dice, wanted.outcome)
            measured, wanted_measures = (
                [each.nsd, each.hd95_mm, each.assd_mm, each.true_ml, each.difference_ml] for each in (row, wanted)
            )
            assert measured == pytest.approx(wanted_measures)


def test_a_pair_is_what_nibabel_makes_of_both_files(tmp_path):
    prediction = save(tmp_path / "p.nii", ras_label(1), Layout((2, 0, 1), (-1, 1, -1)))
    truth = save(tmp_path / "t.nii", ras_label(), LPS)
    pair = load_pair(prediction, truth)
    for array, path in ((pair.prediction, prediction), (pair.truth, truth)):
        np.testing.assert_array_equal(array, nib.as_closest_canonical(nib.load(path)).get_fdata().T)


@pytest.fixture
def folders(tmp_path):
    """Two cases whose labels are stored in another order, and lie 0.004 mm off."""
    for name in ("a", "b"):
        island = ras_label()
        island[7:, 6:, 6:] = 1
        save(tmp_path / "predictions" / f"{name}.nii.gz", island)
        save(tmp_path / "labels" / f"{name}.nii.gz", ras_label(), LPS, by=0.004)
    return tmp_path / "predictions", tmp_path / "labels"


def test_predictions_beside_their_labels_are_scored_on_a_trusted_grid_only(folders):
    with pytest.raises(UserError, match="--trust-grid"):
        evaluate(*folders)
    result = evaluate(*folders, options=TRUST)
    assert result.cases["a"]["label 2"] == 1
    assert on_other_grids(*folders) == ["a", "b"]


def test_postprocessing_is_found_on_a_trusted_grid_only(folders):
    with pytest.raises(UserError, match="--trust-grid"):
        find_postprocessing(*folders, NAMES)
    found = find_postprocessing(*folders, NAMES, trust_grid=True)
    assert found.keep_largest_foreground
    assert found.dice_after == 1


@pytest.mark.parametrize(
    ("layout", "by", "spacing", "trusted"),
    [
        (RAS, 40.0, SPACING, True),
        (RAS, 0.0, (0.6, 1.5, 2.5), True),
        (LPS, 0.004, SPACING, True),
        (LPS, 3.0, SPACING, False),
        (LPS, 0.0, (0.6, 1.5, 2.5), False),
        (Layout((0, 1, 2), (1, 1, 1), oblique=True), 0.0, SPACING, False),
    ],
)
def test_a_trusted_grid_never_crosses_an_orientation(tmp_path, layout, by, spacing, trusted):
    prediction = save(tmp_path / "p.nii", ras_label(1), layout, by, spacing)
    truth = save(tmp_path / "t.nii", ras_label())
    with pytest.raises(UserError):
        load_pair(prediction, truth)
    if trusted:
        np.testing.assert_array_equal(load_pair(prediction, truth, trust_grid=True).prediction, ras_label(1).T)
    else:
        with pytest.raises(UserError):
            load_pair(prediction, truth, trust_grid=True)


def test_another_shape_is_refused_on_a_trusted_grid(tmp_path):
    prediction, truth = save(tmp_path / "p.nii", ras_label()[:-1]), save(tmp_path / "t.nii", ras_label())
    with pytest.raises(UserError):
        load_pair(prediction, truth, trust_grid=True)


@pytest.mark.parametrize("trust_grid", [False, True])
def test_pictures_are_the_same_in_every_order_of_voxels(tmp_path, trust_grid):
    drawn = []
    orders = [(RAS, RAS, RAS), (RAS, LPS, LPS), (LPS, RAS, RAS), (LAYOUTS[17], LAYOUTS[44], LAYOUTS[9])]
    scan = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.int16)
    for image, prediction, truth in orders:
        files = [
            save(tmp_path / f"{name}.nii", ras, layout)
            for name, ras, layout in (("i", scan, image), ("p", ras_label(1), prediction), ("t", ras_label(), truth))
        ]
        picture = draw_case(tmp_path / "case.png", files[0], FilePair("case", *files[1:]), NAMES, "case", trust_grid)
        drawn.append(imread(picture))
    for other in drawn[1:]:
        np.testing.assert_array_equal(other, drawn[0])


def test_a_scan_on_another_grid_is_drawn_on_a_trusted_grid_only(tmp_path):
    scan = save(tmp_path / "i.nii", ras_label().astype(np.int16), by=0.004)
    pair = FilePair("case", save(tmp_path / "p.nii", ras_label(1)), save(tmp_path / "t.nii", ras_label(), LPS))
    with pytest.raises(UserError, match=r"i\.nii"):
        draw_case(tmp_path / "case.png", scan, pair, NAMES, "case")
    assert draw_case(tmp_path / "case.png", scan, pair, NAMES, "case", trust_grid=True).is_file()
