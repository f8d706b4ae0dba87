import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.task import load_task
from nnunet_tf.benchmark.subject import open_shard_folder, resized, synthetic_plan


@pytest.mark.parametrize(("dim", "patch"), [(3, (128, 128, 128)), (2, (192, 160))])
def test_the_default_network_is_that_of_nvidias_tables(dim, patch):
    plan = synthetic_plan(load_task("01"), dim, channels=4, classes=4)
    assert plan.patch_size == patch
    assert (len(plan.channels), plan.outputs) == (4, 4)
    assert plan.topology.features[:4] == (32, 64, 128, 256)


@pytest.mark.parametrize("number", range(11))
@pytest.mark.parametrize("dim", [2, 3])
def test_every_task_that_states_its_patch_needs_no_data(number, dim):
    assert synthetic_plan(load_task(str(number)), dim, channels=1, classes=2).outputs == 2


def test_a_config_that_leaves_its_patch_to_the_data_set_is_refused(small_config):
    config = small_config.model_copy(update={"patch_size_3d": None})
    with pytest.raises(UserError, match="patch_size_3d"):
        synthetic_plan(config, 3, channels=1, classes=2)


def test_another_patch_brings_the_strides_that_fit_it_and_keeps_the_features(small_config):
    plan = resized(synthetic_plan(small_config, 3, 1, 2), [8, 32, 32], None)
    assert plan.patch_size == (8, 32, 32)
    assert plan.topology.downsampling == [2, 8, 8]
    assert plan.topology.features == (4, 8, 8, 8)


def test_the_patch_is_given_in_array_order(small_config):
    config = small_config.model_copy(update={"spacing_3d": (1.0, 1.0, 3.0)})  # the coarsest axis goes first
    assert resized(synthetic_plan(config, 3, 1, 2), [16, 32, 8], None).patch_size == (8, 16, 32)


def test_other_features_leave_the_strides(small_config):
    before = synthetic_plan(small_config, 2, 1, 2)
    plan = resized(before, None, [3, 5])
    assert plan.topology.features == (3, 5, 5)
    assert plan.topology.strides == before.topology.strides
    assert resized(before, None, None) == before


@pytest.mark.parametrize(("patch", "said"), [([16, 16], "2 numbers for a 3D network"), ([18, 16, 16], "20 16 16")])
def test_a_patch_that_does_not_fit_is_refused(small_config, patch, said):
    with pytest.raises(UserError, match=said):
        resized(synthetic_plan(small_config, 3, 1, 2), patch, None)


def test_missing_shards_are_told_with_the_command_that_makes_them(small_config, tmp_path):
    with pytest.raises(UserError, match=r"preprocess.py --task 90 --dim 2 --shards"):
        open_shard_folder(tmp_path, small_config, "90", 2)
