"""Models and shards that older versions wrote are read, and give what they gave then."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.common.task import load_task
from data_preprocessing.shards.format import check_config, image_path, label_path, open_shards
from nnunet_tf import Predictor
from tests.data.make_archive import ARCHIVE

VERSIONS = sorted(path for path in ARCHIVE.iterdir() if path.is_dir())


def test_there_is_an_archive():
    assert VERSIONS


@pytest.mark.parametrize("version", VERSIONS, ids=lambda path: path.name)
def test_a_packed_model_gives_the_labels_of_its_time(version: Path):
    scan, labels = version / "scan.nii.gz", nib.load(version / "labels.nii.gz")
    found = Predictor(version / "model.zip", device="cpu")(scan)
    np.testing.assert_array_equal(found.affine, labels.affine)
    before, now = np.asarray(labels.dataobj), np.asarray(found.dataobj)
    assert set(np.unique(before)) == {0, 1, 2}  # a model that has learned something
    assert np.mean(before != now) < 1e-3  # ties between classes are rounded as the processor does


@pytest.mark.parametrize("version", VERSIONS, ids=lambda path: path.name)
def test_shards_are_taken_for_what_they_are(version: Path):
    config = load_task(str(version / "task92.yaml"))
    folder = version / "shards" / "task92_3d"
    plan, manifest = open_shards(folder, "make the archive again")
    check_config(folder, manifest, config, "make the archive again")
    assert len(manifest.cases) == 3
    for case in manifest.cases:
        image, label = np.load(image_path(folder, case)), np.load(label_path(folder, case))
        assert image.shape[:3] == label.shape[:3]
        assert image.dtype == np.float16
        assert {1, 2} <= set(np.unique(label))
    assert plan.config_hash == manifest.config_hash
