"""The shards of the small phantom data set."""

import numpy as np
import pytest

from data_preprocessing.common.files import checksum
from data_preprocessing.dataset.dataset import load_dataset
from data_preprocessing.jobs.backend import Processes
from data_preprocessing.planning.plan import make_plan
from data_preprocessing.shards.format import (
    MANIFEST_NAME,
    CaseRecord,
    foreground_path,
    image_path,
    label_path,
    open_shards,
    record_path,
)
from data_preprocessing.shards.pipeline import preprocess
from tests.data_preprocessing.samples import make_dataset


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".npy", ".json")}


@pytest.mark.parametrize("dim", [2, 3])
def test_phantom_shards_open_and_their_checksums_match(small_shards, dim):
    folder = small_shards / f"task90_{dim}d"
    plan, manifest = open_shards(folder, "mend it")
    assert manifest.cases == [f"phantom_{index:03d}" for index in range(6)]
    assert plan.config_hash == manifest.config_hash
    for name, record in manifest.files.items():
        assert checksum(folder / name) == record.sha256


@pytest.mark.parametrize("dim", [2, 3])
def test_a_folder_holds_four_files_a_case_the_plan_and_the_manifest(small_shards, dim):
    folder = small_shards / f"task90_{dim}d"
    cases = [f"phantom_{index:03d}" for index in range(6)]
    expected = {path(folder, case) for case in cases for path in (image_path, label_path, foreground_path, record_path)}
    visible = {path for path in folder.iterdir() if not path.name.startswith(".")}
    assert visible == expected | {folder / "plan.json", folder / MANIFEST_NAME}


@pytest.mark.parametrize("dim", [2, 3])
def test_the_plan_beside_the_shards_is_that_of_config_and_data_set(small_shards, small_config, dim):
    plan, _ = open_shards(small_shards / f"task90_{dim}d", "mend it")
    dataset = make_dataset(labels={0: "background", 1: "organ", 2: "lesion"})
    assert plan == make_plan(small_config, dataset, dim)


@pytest.mark.parametrize("dim", [2, 3])
def test_each_shard_fits_its_record(small_shards, dim):
    folder = small_shards / f"task90_{dim}d"
    for case in open_shards(folder, "mend it")[1].cases:
        record = CaseRecord.model_validate_json(record_path(folder, case).read_text())
        image, label = np.load(image_path(folder, case)), np.load(label_path(folder, case))
        assert image.shape == label.shape == (*record.shard_shape, 1)
        assert (image.dtype, label.dtype) == (np.float32, np.uint8)
        assert np.bincount(label.reshape(-1)).tolist() == record.class_voxels
        assert min(record.class_voxels) > 0


def test_2d_shards_keep_the_slices_that_3d_shards_resample(small_shards):
    for case in open_shards(small_shards / "task90_2d", "mend it")[1].cases:
        folder = small_shards / "task90_2d"
        record = CaseRecord.model_validate_json(record_path(folder, case).read_text())
        start, stop = record.crop_box[0]
        assert record.shard_shape[0] == stop - start


def test_the_foreground_table_holds_both_classes_equally(small_shards):
    folder = small_shards / "task90_3d"
    label = np.load(label_path(folder, "phantom_000"))[..., 0]
    drawn = label[tuple(np.load(foreground_path(folder, "phantom_000")).T)]
    assert np.bincount(drawn).tolist() == [0, 500, 500]


def test_two_processes_give_the_same_bytes_as_one(tmp_path, small_config, small_data, small_shards):
    dataset = load_dataset(small_data, small_config.dataset)
    plan = make_plan(small_config, dataset, 3)
    two = contents(preprocess(small_config, dataset, plan, tmp_path, Processes(2)).folder)
    one = contents(small_shards / "task90_3d")
    assert two.keys() == one.keys()
    assert [name for name in one if one[name] != two[name]] == []
