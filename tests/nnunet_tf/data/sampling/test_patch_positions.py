import numpy as np
import pytest

from nnunet_tf.data.sampling.patch_positions import draw_cases, draw_places, on_foreground
from nnunet_tf.data.sampling.shard_index import read_volumes
from tests.nnunet_tf.data.samples import numbered_shards, write_shard


def random():
    return np.random.default_rng(0)


@pytest.mark.parametrize(("count", "batches", "batch_volumes"), [(7, 10, 2), (7, 25, 7), (200, 3, 281)])
def test_all_cases_are_seen_equally_often(count, batches, batch_volumes):
    seen = np.bincount(draw_cases(count, batches, batch_volumes, random()).reshape(-1), minlength=count)
    assert seen.max() - seen.min() <= 1


@pytest.mark.parametrize(("count", "batch_volumes"), [(7, 2), (7, 5), (7, 7), (9, 6)])
def test_no_case_comes_twice_in_a_batch_that_is_not_larger_than_the_data(count, batch_volumes):
    cases = draw_cases(count, 200, batch_volumes, random())
    assert all(len(set(batch)) == batch_volumes for batch in cases.tolist())


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 5, 9, 16, 64])
@pytest.mark.parametrize("steps", [1, 7, 250])
def test_a_third_of_a_run_is_for_foreground_at_every_batch_size(batch_size, steps):
    epochs = [on_foreground(epoch * steps * batch_size, steps * batch_size) for epoch in range(30)]
    counts = np.cumsum([forced.sum() for forced in epochs])
    np.testing.assert_array_equal(counts, np.ceil(np.arange(1, 31) * steps * batch_size / 3))


@pytest.mark.parametrize("batch_size", [3, 4, 7, 64])
def test_every_batch_of_three_or_more_has_one(batch_size):
    batches = on_foreground(5, 40 * batch_size).reshape(40, batch_size).sum(axis=1)
    assert batches.min() >= 1
    assert batches.max() - batches.min() <= 1


def test_patches_for_foreground_have_the_voxel_in_their_middle_or_touch_the_border(tmp_path):
    names = numbered_shards(tmp_path, (64, 72, 64))
    volumes = read_volumes(tmp_path, names)
    places = draw_places(volumes, (3, 4, 24), 50, 3, 3, 1, random())
    forced = places.start[on_foreground(1, 150)]
    assert np.unique(forced, axis=0).tolist() == [[2 - 1, 3 - 2, 0]]


def test_classes_are_drawn_equally_often_however_small(tmp_path):
    label = np.zeros((20, 20, 20), np.uint8)
    label[0, 0, 0], label[10:, 10:, 10:] = 1, 2
    write_shard(tmp_path, "case", label, label)
    places = draw_places(read_volumes(tmp_path, ["case"]), (1, 1, 1), 6000, 1, 1, 0, random())
    small = (places.start[on_foreground(0, 6000)] == 0).all(axis=1).mean()
    assert abs(small - 0.5) < 5 * 0.5 / np.sqrt(2000)


def test_a_case_without_foreground_is_cut_anywhere(tmp_path):
    write_shard(tmp_path, "empty", np.zeros((10, 10, 10)), np.zeros((10, 10, 10), np.uint8))
    places = draw_places(read_volumes(tmp_path, ["empty"]), (4, 4, 4), 500, 1, 1, 0, random())
    assert places.start.min(axis=0).tolist() == [0, 0, 0]
    assert places.start.max(axis=0).tolist() == [6, 6, 6]


def test_random_patches_reach_both_ends_of_the_volume(tmp_path):
    write_shard(tmp_path, "case", np.zeros((18, 26, 16)), np.zeros((18, 26, 16), np.uint8))
    places = draw_places(read_volumes(tmp_path, ["case"]), (16, 24, 16), 100, 4, 1, 0, random())
    assert {tuple(start) for start in places.start.tolist()} == {(z, y, 0) for z in range(3) for y in range(3)}


def test_a_small_volume_lies_in_the_middle_of_the_patch(tmp_path):
    write_shard(tmp_path, "case", np.zeros((11, 20, 10)), np.zeros((11, 20, 10), np.uint8))
    places = draw_places(read_volumes(tmp_path, ["case"]), (16, 24, 16), 10, 1, 1, 0, random())
    assert np.unique(places.start, axis=0).tolist() == [[-2, -2, -3]]


def test_the_slices_of_a_batch_come_from_as_many_volumes_as_asked_for(tmp_path):
    volumes = read_volumes(tmp_path, numbered_shards(tmp_path, (4, 8, 8), count=6))
    places = draw_places(volumes, (1, 4, 4), 20, 10, 3, 0, random())
    for batch in places.case.reshape(20, 10):
        assert sorted(np.bincount(batch)[np.unique(batch)]) == [3, 3, 4]
