import math

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.evaluation.metrics.surface_distance import assd, hd95, nsd, surface_distances
from nnunet_tf.evaluation.scoring.case import load_pair, score_case
from nnunet_tf.evaluation.scoring.options import ScoringOptions
from nnunet_tf.evaluation.scoring.structures import Structure, Structures, class_structures, with_background

CLASSES = class_structures({0: "background", 1: "liver", 4: "tumour"})


@pytest.fixture
def scored(tmp_path):
    """Scores two arrays `(i, j, k)` as files."""

    def score(prediction, truth, structures=CLASSES, options=ScoringOptions(), affine=None):
        for name, voxels in (("prediction", prediction), ("truth", truth)):
            image = nib.Nifti1Image(np.asarray(voxels, np.uint8), np.eye(4) if affine is None else affine)
            nib.save(image, tmp_path / f"{name}.nii.gz")
        files = tmp_path / "prediction.nii.gz", tmp_path / "truth.nii.gz"
        return score_case("x", *files, structures, options)

    return score


def cube(*starts):
    """One cube of 3 a label number in `starts`, none where the start is None."""
    voxels = np.zeros((12, 12, 12))
    for start, number in zip(starts, (1, 4), strict=True):
        if start is not None:
            voxels[start : start + 3, :3, :3] = number
    return voxels


def test_a_row_has_the_measures_of_the_whole_masks_and_volumes_in_ml(scored):
    prediction, truth = cube(1, 6), cube(2, 6)
    prediction[0, 0, 0] = 1
    liver, tumour = scored(prediction, truth, affine=np.diag([-0.5, 2, 3, 1]))
    true, predicted = (np.flip(voxels, 0).transpose(2, 1, 0) == 1 for voxels in (truth, prediction))
    distances = surface_distances(predicted, true, (3, 2, 0.5))
    assert liver.dice == pytest.approx(2 * 18 / (28 + 27))
    assert (liver.nsd, liver.hd95_mm, liver.assd_mm) == (nsd(distances, 2.0), hd95(distances), assd(distances))
    assert (liver.predicted_ml, liver.true_ml) == (pytest.approx(0.084), pytest.approx(0.081))
    assert liver.difference_ml == pytest.approx(0.003)
    assert (tumour.outcome, tumour.dice, tumour.nsd, tumour.hd95_mm, tumour.assd_mm) == ("found", 1, 1, 0, 0)


def test_the_tolerance_is_that_of_the_options(scored):
    strict, lax = (scored(cube(1, 6), cube(2, 6), options=ScoringOptions(mm))[0].nsd for mm in (0.5, 1.0))
    assert strict < lax == 1


def test_absent_in_one_scores_zero_and_infinite_absent_in_both_nothing(scored):
    (missed, absent) = scored(cube(None, None), cube(1, None))
    assert (missed.outcome, missed.dice, missed.nsd) == ("missed", 0, 0)
    assert (missed.hd95_mm, missed.assd_mm) == (math.inf, math.inf)
    assert (absent.outcome, absent.dice, absent.nsd, absent.hd95_mm) == ("absent", None, None, None)
    assert absent.true_ml == absent.predicted_ml == 0
    false_alarm = scored(cube(1, None), cube(None, None))[0]
    assert (false_alarm.outcome, false_alarm.dice, false_alarm.assd_mm) == ("false alarm", 0, math.inf)


def test_absent_in_both_scores_one_on_request(scored):
    options = ScoringOptions(count_absent=True)
    absent = scored(cube(1, None), cube(1, None), options=options)[1]
    assert (absent.outcome, absent.dice, absent.nsd, absent.hd95_mm) == ("absent", 1, 1, None)


def test_without_surface_only_overlap_and_volumes_are_measured(scored):
    options = ScoringOptions(surface=False)
    for prediction in (cube(2, 6), cube(None, 6)):
        liver = scored(prediction, cube(1, 6), options=options)[0]
        assert liver.dice is not None
        assert liver.true_ml is not None
        assert (liver.nsd, liver.hd95_mm, liver.assd_mm) == (None, None, None)


def test_a_region_is_scored_as_the_union_of_its_labels(scored):
    whole = Structure("whole", 1, predicted=(1, 2), true=(1, 4))
    structures = Structures((whole,), {0: "background", 1: "a", 2: "b"}, {0: "background", 1: "a", 4: "b"})
    prediction = cube(1, 6)
    prediction[prediction == 4] = 2
    row = scored(prediction, cube(1, 6), structures)[0]
    assert (row.dice, row.hd95_mm) == (1, 0)


def test_a_slice_is_scored_along_its_two_axes(scored):
    prediction, truth = np.zeros((2, 9, 9, 1))
    prediction[1:6, 1:6] = truth[1:6, 2:7] = 1
    row = scored(prediction, truth)[0]
    distances = surface_distances(prediction.T == 1, truth.T == 1, (1, 1, 1), axes=(1, 2))
    assert (row.assd_mm, row.hd95_mm) == (assd(distances), 1)


def test_a_number_that_nothing_names_is_refused(scored):
    with pytest.raises(UserError, match=r"prediction.nii.gz: label 7 is not declared"):
        scored(np.full((2, 2, 2), 7), np.zeros((2, 2, 2)))


def test_without_names_every_number_of_either_file_is_scored(scored):
    rows = scored(cube(1, None), cube(None, 3), structures=None)
    assert [(row.structure, row.value, row.outcome) for row in rows] == [
        ("label 1", 1, "false alarm"),
        ("label 4", 4, "missed"),
    ]


def test_a_pair_on_other_grids_is_refused_by_both_names(tmp_path):
    for name, spacing in (("a", 1), ("b", 1.1)):
        nib.save(nib.Nifti1Image(np.ones((2, 2, 2), np.uint8), np.diag([spacing, 1, 1, 1])), tmp_path / f"{name}.nii")
    with pytest.raises(UserError, match=r"a\.nii: its voxel grid differs from that of .*b\.nii"):
        load_pair(tmp_path / "a.nii", tmp_path / "b.nii")


def test_the_background_is_a_structure_on_request(scored):
    options = ScoringOptions(include_background=True)
    prediction, truth = cube(1, None), cube(2, None)
    background = scored(prediction, truth, with_background(CLASSES), options)[0]
    empty = 12**3 - 27
    assert (background.structure, background.value, background.outcome) == ("background", 0, "found")
    assert background.dice == pytest.approx((empty - 9) / empty)
    distances = surface_distances(*(voxels.transpose(2, 1, 0) == 0 for voxels in (prediction, truth)), (1, 1, 1))
    assert (background.nsd, background.assd_mm) == (nsd(distances, 2.0), assd(distances))
    assert [row.structure for row in scored(prediction, truth, None, options)] == ["label 0", "label 1"]
