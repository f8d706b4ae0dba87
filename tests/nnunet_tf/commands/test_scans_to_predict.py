"""What predict takes for its scans: those of a data set without imagesTs, and channels by patterns."""

import json

import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.commands import predict
from nnunet_tf.commands.start import run_command
from tests.data_preprocessing.samples import LPS, save
from tests.nnunet_tf.inference.samples import tiny_plan, write_untrained_model

SHAPE = (10, 11, 12)
CHANNELS = ["--channel", "T2=t2.nii.gz", "--channel", "T1=t1*.nii.gz"]


@pytest.fixture
def folder(tmp_path):
    write_untrained_model(tmp_path / "model", tiny_plan(channels=("T1", "T2")))
    for patient in ("P 1", "P2"):
        for name in ("t1", "t2", "tumor mask"):
            save(tmp_path / "new" / patient / f"{name}.nii.gz", np.zeros(SHAPE, np.float32), LPS.affine())
    return tmp_path


def run(folder, *words):
    where = ["--model", folder / "model", "--output", folder / "out", "--device", "cpu", "--data", folder / "data"]
    run_command(predict, [*map(str, where), *map(str, words)])
    return sorted(path.name for path in (folder / "out").glob("*.nii.gz"))


def test_a_folder_per_patient_with_a_file_per_channel(folder):
    assert run(folder, "--input", folder / "new", *CHANNELS) == ["P 1.nii.gz", "P2.nii.gz"]


def test_other_channels_than_the_models_are_refused(folder):
    with pytest.raises(UserError, match="T1, T2"):
        run(folder, "--input", folder / "new", "--channel", "T1=t1.nii.gz")
    with pytest.raises(UserError, match="--input"):
        run(folder, *CHANNELS)


def test_what_the_data_set_lists_under_test_where_it_has_no_folder_of_them(folder):
    home = folder / "data" / tiny_plan().dataset
    home.mkdir(parents=True)
    files = [str(folder / "new" / "P2" / f"{name}.nii.gz") for name in ("t1", "t2")]
    (home / "dataset.json").write_text(json.dumps({"test": [{"name": "second", "image": files}]}))
    assert run(folder) == ["second.nii.gz"]
