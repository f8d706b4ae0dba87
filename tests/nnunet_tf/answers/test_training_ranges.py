import pytest

from data_preprocessing.common.files import write_model
from data_preprocessing.planning.plan import Region
from data_preprocessing.shards.format import CaseRecord, record_path
from nnunet_tf.answers.training_ranges import ranges_of_shards
from tests.nnunet_tf.inference.samples import tiny_plan


def write_record(folder, name, spacing, voxels, source="a.nii.gz"):
    record = CaseRecord(
        name=name, key="k", affine=[[1.0] * 4] * 4, shape=(9, 9, 9), spacing=spacing, crop_box=((0, 9),) * 3,
        shard_shape=(9, 9, 9), class_voxels=voxels, sources={source: {"size": 1, "sha256": "0" * 64}},
    )  # fmt: skip
    write_model(record_path(folder, name), record)


@pytest.fixture
def shards(tmp_path):
    write_record(tmp_path, "a", (5.0, 1.0, 2.0), [900, 100, 0])
    write_record(tmp_path, "b", (3.0, 1.5, 1.5), [500, 300, 200])
    write_record(tmp_path, "c", (9.0, 9.0, 9.0), [0, 9999, 9999])
    return tmp_path


def test_ranges_are_volumes_where_a_structure_is_there_and_sorted_spacings(shards):
    ranges = ranges_of_shards(shards, ("a", "b"), tiny_plan(spacing=(2.0, 1.0, 1.0)))
    assert ranges.cases == 2
    assert ranges.spacing == ((1.0, 1.5), (1.5, 2.0), (3.0, 5.0))
    assert ranges.structures["organ"].volume_ml == pytest.approx((0.2, 0.6))
    assert (ranges.structures["lesion"].cases, ranges.structures["lesion"].volume_ml) == (1, pytest.approx((0.4, 0.4)))


def test_a_2d_plan_keeps_the_slices_and_a_region_is_the_sum_of_its_classes(shards):
    plan = tiny_plan(2, regions=(Region(name="whole", classes=(1, 2), value=1),))
    ranges = ranges_of_shards(shards, ("a", "b"), plan)
    assert ranges.structures["whole"].volume_ml == pytest.approx((0.5, 1.5))


def test_pictures_have_pixels_and_no_spacing(tmp_path):
    write_record(tmp_path, "a", (1.0, 1.0, 1.0), [900, 100, 0], "a.png")
    ranges = ranges_of_shards(tmp_path, ("a",), tiny_plan(2))
    assert ranges.spacing is None
    assert ranges.structures["organ"].voxels == (100, 100)


def test_without_a_record_nothing_is_known(shards):
    assert ranges_of_shards(shards, ("a", "gone"), tiny_plan()) is None
