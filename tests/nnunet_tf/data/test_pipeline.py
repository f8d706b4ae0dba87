"""The batches that training sees. Images here count their voxels, so that a patch shows where it was cut."""

import numpy as np
import pytest

from data_preprocessing.files import write_array
from data_preprocessing.plan import make_plan
from data_preprocessing.shards import foreground_path, foreground_table, image_path, label_path
from nnunet_tf.data import augmentation as augmentation_module
from nnunet_tf.data.pipeline import Worker, training_batches


@pytest.fixture
def plan(small_config, small_data):
    from data_preprocessing.dataset import load_dataset

    return make_plan(small_config, load_dataset(small_data, small_config.dataset), 3)


@pytest.fixture
def plan_2d(small_config, small_data):
    from data_preprocessing.dataset import load_dataset

    return make_plan(small_config, load_dataset(small_data, small_config.dataset), 2)


def write_shard(folder, name, image, label):
    write_array(image_path(folder, name), image.astype(np.float32)[..., np.newaxis])
    write_array(label_path(folder, name), label.astype(np.uint8)[..., np.newaxis])
    write_array(foreground_path(folder, name), foreground_table(label, seed=0))


def numbered_shards(folder, shape, count=3, first=0):
    """Cases whose image numbers all voxels of all cases, and whose only foreground voxel is at (2, 3, 4)."""
    size = int(np.prod(shape))
    names = []
    for index in range(first, first + count):
        label = np.zeros(shape)
        label[2, 3, 4] = 1
        write_shard(folder, f"case_{index}", 1 + index * size + np.arange(size).reshape(shape), label)
        names.append(f"case_{index}")
    return names


def take(dataset, count):
    return [(image.numpy(), label.numpy()) for image, label in dataset.take(count)]


def test_a_patch_is_a_piece_of_one_volume(tmp_path, plan):
    shape = (20, 30, 25)
    names = numbered_shards(tmp_path, shape)
    for images, labels in take(training_batches(tmp_path, plan, names, 2, seed=0, augmentation="none"), 10):
        for image, label in zip(images[..., 0], labels, strict=True):
            start = np.unravel_index((int(image[0, 0, 0]) - 1) % np.prod(shape), shape)
            case = (int(image[0, 0, 0]) - 1) // np.prod(shape)
            region = tuple(slice(first, first + size) for first, size in zip(start, plan.patch_size, strict=True))
            np.testing.assert_array_equal(image, np.load(image_path(tmp_path, f"case_{case}"))[region][..., 0])
            np.testing.assert_array_equal(label, np.load(label_path(tmp_path, f"case_{case}"))[region][..., 0])


@pytest.mark.parametrize(("batch_size", "forced"), [(2, 1), (6, 1), (9, 2)])
def test_a_third_of_each_batch_at_least_one_is_centred_on_foreground(tmp_path, plan, batch_size, forced):
    names = numbered_shards(tmp_path, (64, 72, 64))  # so large that a patch elsewhere rarely holds the one voxel
    for _, labels in take(training_batches(tmp_path, plan, names, batch_size, seed=1, augmentation="none"), 8):
        hits = labels.reshape(batch_size, -1).any(axis=1).sum()
        assert forced <= hits <= forced + 2


def test_random_patches_reach_both_ends_of_the_volume(tmp_path, plan):
    shape = (18, 26, 18)
    names = []
    for index in range(2):
        write_shard(tmp_path, f"case_{index}", np.arange(np.prod(shape)).reshape(shape), np.zeros(shape))
        names.append(f"case_{index}")
    batches = take(training_batches(tmp_path, plan, names, 4, seed=0, augmentation="none"), 40)
    starts = {np.unravel_index(int(image[0, 0, 0, 0]), shape) for images, _ in batches for image in images}
    assert starts == {(z, y, x) for z in range(3) for y in range(3) for x in range(3)}


def test_float16_shards_become_float32_batches(tmp_path, plan):
    label = np.zeros((20, 30, 25))
    write_shard(tmp_path, "case", np.full(label.shape, 0.1), label)
    write_array(image_path(tmp_path, "case"), np.load(image_path(tmp_path, "case")).astype(np.float16))
    ((images, _),) = take(training_batches(tmp_path, plan, ["case"], 2, seed=0, augmentation="none"), 1)
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, np.float32(np.float16(0.1)))


def test_a_volume_smaller_than_the_patch_is_padded_with_zeros_in_its_middle(tmp_path, plan):
    write_shard(tmp_path, "small", np.ones((11, 20, 10)), np.ones((11, 20, 10)))
    ((images, labels),) = take(training_batches(tmp_path, plan, ["small"], 2, seed=0, augmentation="none"), 1)
    expected = np.pad(np.ones((11, 20, 10)), [(2, 3), (2, 2), (3, 3)])
    for image, label in zip(images[..., 0], labels, strict=True):
        np.testing.assert_array_equal(image, expected)
        np.testing.assert_array_equal(label, expected)


def test_image_and_label_are_mirrored_alike(tmp_path, plan, monkeypatch):
    monkeypatch.setattr(augmentation_module, "NOISE_PROBABILITY", 0.0)
    monkeypatch.setattr(augmentation_module, "BRIGHTNESS_PROBABILITY", 0.0)
    random = np.random.default_rng(0)
    label = random.integers(0, 3, (20, 30, 25))
    write_shard(tmp_path, "case", label, label)
    plain = take(training_batches(tmp_path, plan, ["case"], 4, seed=3, augmentation="none"), 5)
    mirrored = take(training_batches(tmp_path, plan, ["case"], 4, seed=3, augmentation="basic"), 5)
    for images, labels in mirrored:
        np.testing.assert_array_equal(images[..., 0], labels)
    assert any(not np.array_equal(a[0], b[0]) for a, b in zip(plain, mirrored, strict=True))


def test_noise_and_brightness_change_the_image_and_not_the_label(tmp_path, plan, monkeypatch):
    monkeypatch.setattr(augmentation_module, "MIRROR_PROBABILITY", 0.0)
    monkeypatch.setattr(augmentation_module, "NOISE_PROBABILITY", 1.0)
    monkeypatch.setattr(augmentation_module, "BRIGHTNESS_PROBABILITY", 1.0)
    label = np.ones(plan.patch_size)
    write_shard(tmp_path, "case", label * 2, label)
    for images, labels in take(training_batches(tmp_path, plan, ["case"], 4, seed=3, augmentation="basic"), 4):
        assert (labels == 1).all()
        for image in images:
            assert 2 * 0.75 - 0.1 < image.mean() < 2 * 1.25 + 0.1
            assert 0 < image.std() < 0.13


def test_the_same_seed_gives_the_same_batches(small_shards, plan):
    shards = small_shards / plan.name
    names = [f"phantom_{index:03d}" for index in range(6)]
    runs = [take(training_batches(shards, plan, names, 2, seed=seed), 4) for seed in (5, 5, 6)]
    for (image, label), (same_image, same_label) in zip(runs[0], runs[1], strict=True):
        np.testing.assert_array_equal(image, same_image)
        np.testing.assert_array_equal(label, same_label)
    assert any(not np.array_equal(a[0], b[0]) for a, b in zip(runs[0], runs[2], strict=True))


def test_workers_read_different_cases(tmp_path, plan):
    shape = plan.patch_size
    names = []
    for index in range(4):
        write_shard(tmp_path, f"case_{index}", np.full(shape, index), np.zeros(shape))
        names.append(f"case_{index}")
    seen = []
    for rank in range(2):
        batches = training_batches(tmp_path, plan, names, 2, seed=0, augmentation="none", worker=Worker(rank, 2))
        seen.append({int(image[0, 0, 0, 0]) for images, _ in take(batches, 1) for image in images})
    assert seen[0] | seen[1] == {0, 1, 2, 3}


def test_2d_patches_are_slices_across_the_first_axis(tmp_path, plan_2d):
    shape = (7, 30, 25)
    names = numbered_shards(tmp_path, shape, count=1)
    ((images, labels),) = take(training_batches(tmp_path, plan_2d, names, 9, seed=0, augmentation="none"), 1)
    assert images.shape == (9, 24, 16, 1)
    assert labels.shape == (9, 24, 16)
    for image in images[..., 0].astype(int):
        assert image[0, 1] - image[0, 0] == 1
        assert image[1, 0] - image[0, 0] == shape[2]
    assert sum(label.any() for label in labels) >= 2
