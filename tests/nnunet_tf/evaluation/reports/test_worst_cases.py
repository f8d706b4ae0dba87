import nibabel as nib
import numpy as np
import pytest
from matplotlib.image import imread

from data_preprocessing.common.errors import UserError
from nnunet_tf.evaluation.metrics.scores import Score
from nnunet_tf.evaluation.reports.worst_cases import Folders, check_images, save_overlays, title, worst_cases
from nnunet_tf.evaluation.scoring.folder import evaluate
from nnunet_tf.evaluation.summaries.summary import evaluation


@pytest.fixture
def folders(tmp_path):
    """Three cases of two channels, the second one predicted worst."""
    found = Folders(*(tmp_path / name for name in ("predictions", "labels", "images")))
    for folder in (found.predictions, found.labels, found.images):
        folder.mkdir()
    for index, overlap in enumerate((5, 2, 4)):
        label = np.zeros((12, 12, 12), np.uint8)
        label[3:8, 3:8, 3:8] = 1
        save(found.labels / f"case{index}.nii.gz", label)
        label[3 + overlap :] = 0
        save(found.predictions / f"case{index}.nii.gz", label)
        for channel in range(2):
            save(found.images / f"case{index}_{channel:04d}.nii.gz", label.astype(np.float32))
    return found


def save(path, voxels, affine=None):
    nib.save(nib.Nifti1Image(voxels, np.eye(4) if affine is None else affine), path)


def test_the_worst_cases_are_drawn_and_no_others(folders, tmp_path):
    result = evaluate(folders.predictions, folders.labels, worst=2)
    outcomes = save_overlays(tmp_path / "pictures", folders, result)
    assert [outcome.failure for outcome in outcomes] == [None, None]
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["case1.png", "case2.png"]
    assert (np.ptp(imread(tmp_path / "pictures" / "case1.png")[..., :3], axis=-1) > 0.2).any()


def test_a_case_without_image_is_refused(folders, tmp_path):
    (folders.images / "case1_0000.nii.gz").unlink()
    result = evaluate(folders.predictions, folders.labels)
    with pytest.raises(UserError, match="no image named case1; "):
        save_overlays(tmp_path / "pictures", folders, result)


def test_before_anything_is_scored_every_case_must_have_its_image(folders):
    check_images(folders.images, folders.predictions, folders.labels)
    (folders.images / "case1_0000.nii.gz").unlink()
    with pytest.raises(UserError, match="images: has no image named case1; "):
        check_images(folders.images, folders.predictions, folders.labels)


def test_an_image_on_another_grid_is_named_and_the_others_are_drawn(folders, tmp_path):
    save(folders.images / "case1_0000.nii.gz", np.zeros((12, 12, 12), np.float32), np.diag([2, 1, 1, 1]))
    result = evaluate(folders.predictions, folders.labels, worst=2)
    failed, drawn = save_overlays(tmp_path / "pictures", folders, result)
    assert "case1_0000" in failed.failure
    assert "grid differs from that of" in failed.failure
    assert drawn.result == tmp_path / "pictures" / "case2.png"


def scores(*dice):
    return [Score(case="x", structure=f"c{n}", value=n, dice=each) for n, each in enumerate(dice, start=1)]


def test_the_worst_over_all_come_first_and_each_once():
    rows = [Score(case=f"{n}", structure="a", value=1, dice=n / 10) for n in range(4)]
    rows += [Score(case=f"{n}", structure="b", value=2, dice=1 - n / 10) for n in range(4)]
    assert worst_cases(evaluation(rows, worst=1)) == ["0", "3"]


def test_a_title_names_the_case_and_its_dice():
    assert title("x", evaluation(scores(0.5), worst=1)) == "x: mean Dice 0.500"
    assert title("x", evaluation(scores(0.5, None), worst=1)) == "x: mean Dice 0.500 (c1 0.500, c2 -)"
    assert title("x", evaluation(scores(*[0.25] * 41), worst=1)) == "x: mean Dice 0.250"
    assert title("x", evaluation(scores(None), worst=1)) == "x: no Dice"
