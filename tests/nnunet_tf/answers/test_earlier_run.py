"""Files of the user's are not replaced by segmentations, and nothing is told of segmentations that are no more."""

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.commands import predict
from nnunet_tf.commands.start import run_command
from tests.data_preprocessing.samples import LPS, save
from tests.nnunet_tf.inference.samples import tiny_plan, write_untrained_model


@pytest.fixture
def words(tmp_path):
    write_untrained_model(tmp_path / "model", tiny_plan())
    save(tmp_path / "scans" / "scan_0.nii.gz", np.zeros((10, 11, 12), np.float32), LPS.affine())
    return [
        *("--model", str(tmp_path / "model"), "--input", str(tmp_path / "scans"), "--output", str(tmp_path / "out")),
        *("--device", "cpu"),
    ]


def test_a_mask_named_like_the_scan_is_kept(tmp_path, words):
    truth = tmp_path / "out" / "scan_0.nii.gz"
    save(truth, np.ones((10, 11, 12), np.uint8), LPS.affine())
    before = truth.read_bytes()
    with pytest.raises(UserError, match="--overwrite"):
        run_command(predict, words)
    assert truth.read_bytes() == before
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["scan_0.nii.gz"]
    run_command(predict, [*words, "--overwrite"])
    assert truth.read_bytes() != before


def test_results_of_an_earlier_run_are_replaced_and_what_it_said_of_them_goes(tmp_path, words):
    run_command(predict, [*words, "--statistics", "--preview"])
    out = tmp_path / "out"
    assert {"statistics.csv", "statistics.json", "run.json"} < {path.name for path in out.iterdir()}
    run_command(predict, words)
    assert not list(out.rglob("statistics*.csv"))
    assert not list(out.rglob("*.png"))
    assert nib.load(out / "scan_0.nii.gz").shape == (10, 11, 12)
