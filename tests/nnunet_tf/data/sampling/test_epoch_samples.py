from dataclasses import fields, replace

import numpy as np
import pytest

from data_preprocessing.planning.plan import make_plan
from nnunet_tf.data.sampling.epoch_samples import Draws, coarse_sizes, draw_epoch
from nnunet_tf.data.sampling.settings import BatchSettings
from nnunet_tf.data.sampling.shard_index import read_volumes
from nnunet_tf.networks.settings import NetworkSettings
from tests.nnunet_tf.data.samples import numbered_shards
from tests.nnunet_tf.inference.samples import tiny_plan

SETTINGS = BatchSettings(batch_size=8, steps_per_epoch=5, seed=3, augmentation="full")


@pytest.fixture(params=[2, 3])
def plan(request, small_config, small_data):
    from data_preprocessing.dataset.dataset import load_dataset

    return make_plan(small_config, load_dataset(small_data, small_config.dataset), request.param)


@pytest.fixture
def volumes(tmp_path):
    return read_volumes(tmp_path, numbered_shards(tmp_path, (20, 30, 25), count=5))


def assert_equal(one: Draws, other: Draws):
    for field in fields(Draws):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("nvol", [None, 4])
def test_workers_share_the_batches_that_one_worker_would_see(volumes, plan, workers, nvol):
    alone = draw_epoch(volumes, plan, replace(SETTINGS, volumes=nvol), 1, epoch=2)
    share = replace(SETTINGS, batch_size=8 // workers, volumes=nvol and nvol // workers)
    shares = [draw_epoch(volumes, plan, share, workers, epoch=2).share(rank, workers) for rank in range(workers)]
    joined = {f.name: np.concatenate([getattr(each, f.name) for each in shares], axis=1) for f in fields(Draws)}
    assert_equal(alone, Draws(**joined))


def test_the_rest_of_an_epoch_is_what_it_was(volumes, plan):
    whole = draw_epoch(volumes, plan, SETTINGS, 1, epoch=2)
    for name in (field.name for field in fields(Draws)):
        np.testing.assert_array_equal(getattr(whole.rest(3), name), getattr(whole, name)[3:])


def test_the_seed_and_the_epoch_decide_the_draws(volumes, plan):
    first = draw_epoch(volumes, plan, SETTINGS, 1, epoch=2)
    assert_equal(first, draw_epoch(volumes, plan, SETTINGS, 1, epoch=2))
    for other in (
        draw_epoch(volumes, plan, SETTINGS, 1, epoch=3),
        draw_epoch(volumes, plan, replace(SETTINGS, seed=4), 1, epoch=2),
    ):
        assert not np.array_equal(first.start, other.start)
        assert not np.array_equal(first.gamma, other.gamma)


def test_the_same_patches_are_drawn_with_and_without_augmentation(volumes, plan):
    full, none = (
        draw_epoch(volumes, plan, replace(SETTINGS, augmentation=name), 1, epoch=0) for name in ("full", "none")
    )
    np.testing.assert_array_equal(full.case, none.case)
    np.testing.assert_array_equal(full.start[~full.warped], none.start[~full.warped])
    assert (none.shape == ((1, *plan.patch_size)[-3:])).all()
    assert full.warped.any() and not none.warped.any()


@pytest.mark.parametrize("axis_order", [(0, 1, 2), (2, 0, 1)])
@pytest.mark.parametrize("axes", ["zyx", "y", "zx", "none"])
def test_only_chosen_axes_of_the_volume_are_mirrored(volumes, plan, axes, axis_order):
    turned = plan.model_copy(update={"axis_order": axis_order})
    settings = replace(SETTINGS, network=NetworkSettings(mirror_axes=axes), steps_per_epoch=20)
    draws = draw_epoch(volumes, turned, settings, 1, epoch=0)
    mirrored = draws.mirror.mean(axis=(0, 1))
    expected = ["zyx"[axis] in axes for axis in axis_order][-plan.dim :]
    assert (mirrored > 0).tolist() == expected
    assert_equal(
        replace(draws, mirror=0),
        replace(draw_epoch(volumes, turned, replace(settings, network=NetworkSettings()), 1, 0), mirror=0),
    )


def test_a_flat_patch_reads_no_slice_more_than_it_has(tmp_path):
    volumes = read_volumes(tmp_path, numbered_shards(tmp_path, (20, 40, 50), count=2))
    flat = tiny_plan(3, patch_size=(8, 32, 32))
    draws = draw_epoch(volumes, flat, replace(SETTINGS, steps_per_epoch=20), 1, epoch=0)
    assert set(draws.shape[..., 0].flat) == {8}
    assert len(set(draws.shape[..., 1].flat)) > 5
    np.testing.assert_array_equal(draws.warp[..., 2, :], np.broadcast_to([0, 0, 1, 0], (*draws.warp.shape[:2], 4)))


@pytest.mark.parametrize("augmentation", ["full", "basic", "crops", "flips", "none"])
def test_a_patch_is_changed_where_it_draws_a_step_on_intensities(volumes, plan, augmentation):
    settings = replace(SETTINGS, augmentation=augmentation, steps_per_epoch=20)
    draws = draw_epoch(volumes, plan, settings, 1, epoch=0)
    steps = [draws.noise > 0, draws.offset != 0, draws.blur.any(axis=(2, 3)), draws.coarse.any(axis=(2, 3))]
    steps += [(getattr(draws, name) != 1).any(axis=2) for name in ("brightness", "contrast", "inverted_gamma", "gamma")]
    np.testing.assert_array_equal(draws.changed, np.any(steps, axis=0))


def test_coarse_sizes_are_the_rounded_share_of_the_patch():
    sizes = coarse_sizes(np.array([[0.5, 1.0], [0.73, 0.99]]), (20, 24, 18))
    np.testing.assert_array_equal(sizes, [[[10, 12, 9], [0, 0, 0]], [[15, 18, 13], [20, 24, 18]]])


def test_a_flat_patch_keeps_its_first_axis_in_low_resolution():
    np.testing.assert_array_equal(coarse_sizes(np.array([[0.5]]), (20, 320, 256)), [[[20, 160, 128]]])
