"""The batches that training sees. Images here count their voxels, so that a patch shows where it was cut."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import write_array
from data_preprocessing.dataset.dataset import load_dataset
from data_preprocessing.planning.plan import make_plan
from data_preprocessing.shards.format import image_path, label_path
from nnunet_tf.data.augmentation import parameters as parameters_module
from nnunet_tf.data.pipeline import TrainingBatches, Worker
from nnunet_tf.data.sampling.epoch_samples import draw_epoch
from nnunet_tf.data.sampling.settings import BatchSettings
from tests.nnunet_tf.data.samples import numbered_shards, write_shard

PLAIN = BatchSettings(batch_size=2, steps_per_epoch=4, seed=0, augmentation="none")
FULL = replace(PLAIN, augmentation="full", batch_size=4)


@pytest.fixture
def plan(small_config, small_data):
    return make_plan(small_config, load_dataset(small_data, small_config.dataset), 3)


@pytest.fixture
def plan_2d(small_config, small_data):
    return make_plan(small_config, load_dataset(small_data, small_config.dataset), 2)


@pytest.fixture
def without_noise(monkeypatch):
    monkeypatch.setattr(parameters_module, "NOISE", parameters_module.Step(0.0, 0.0, 0.1))


def epoch(folder, plan, names, settings, worker=Worker(), number=0):
    batches = TrainingBatches(folder, plan, names, settings, worker, epochs=range(number, number + 1))
    return [(image.numpy(), label.numpy()) for image, label in batches.epoch(number)]


def assert_same(batches, others):
    for (image, label), (other_image, other_label) in zip(batches, others, strict=True):
        np.testing.assert_array_equal(image, other_image)
        np.testing.assert_array_equal(label, other_label)


def random_shards(folder, shape=(20, 30, 25), count=4):
    random = np.random.default_rng(0)
    names = [f"case_{index}" for index in range(count)]
    for name in names:
        image = ndimage.gaussian_filter(random.normal(size=shape), 1.5) * 10
        write_shard(folder, name, image, image > 0.5)
    return names


@pytest.mark.parametrize("read_roi", [None, False, True])
def test_a_patch_is_a_piece_of_one_volume(tmp_path, plan, read_roi):
    shape = (20, 30, 25)
    names = numbered_shards(tmp_path, shape)
    batches = epoch(tmp_path, plan, names, replace(PLAIN, read_roi=read_roi, steps_per_epoch=10))
    assert len(batches) == 10
    for images, labels in batches:
        assert (images.dtype, labels.dtype) == (np.float32, np.int32)
        for image, label in zip(images[..., 0], labels, strict=True):
            start = np.unravel_index((int(image[0, 0, 0]) - 1) % np.prod(shape), shape)
            case = (int(image[0, 0, 0]) - 1) // np.prod(shape)
            region = tuple(slice(first, first + size) for first, size in zip(start, plan.patch_size, strict=True))
            np.testing.assert_array_equal(image, np.load(image_path(tmp_path, f"case_{case}"))[region][..., 0])
            np.testing.assert_array_equal(label, np.load(label_path(tmp_path, f"case_{case}"))[region][..., 0])


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 1), (1, 2), (2, 1), (3, 1), (2, 4)])
def test_a_third_of_the_patches_is_centred_on_foreground_at_every_batch_size_and_number_of_workers(
    tmp_path, plan, batch_size, workers
):
    names = numbered_shards(tmp_path, (64, 72, 64))  # so large that a patch elsewhere rarely holds the one voxel
    steps, epochs = 24 // (batch_size * workers), 3
    settings = replace(PLAIN, batch_size=batch_size, steps_per_epoch=steps)
    hits = [
        label.any()
        for rank in range(workers)
        for number in range(epochs)
        for _, labels in epoch(tmp_path, plan, names, settings, Worker(rank, workers), number)
        for label in labels
    ]
    assert len(hits) == 72
    assert 24 <= sum(hits) <= 24 + 6


def test_float16_shards_become_float32_batches(tmp_path, plan):
    label = np.zeros((20, 30, 25))
    write_shard(tmp_path, "case", np.full(label.shape, 0.1), label)
    write_array(image_path(tmp_path, "case"), np.load(image_path(tmp_path, "case")).astype(np.float16))
    images, _ = epoch(tmp_path, plan, ["case"], PLAIN)[0]
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, np.float32(np.float16(0.1)))


@pytest.mark.parametrize("read_roi", [False, True])
def test_a_volume_smaller_than_the_patch_is_padded_with_zeros_in_its_middle(tmp_path, plan, read_roi):
    write_shard(tmp_path, "small", np.ones((11, 20, 10)), np.ones((11, 20, 10)))
    images, labels = epoch(tmp_path, plan, ["small"], replace(PLAIN, read_roi=read_roi))[0]
    expected = np.pad(np.ones((11, 20, 10)), [(2, 3), (2, 2), (3, 3)])
    for image, label in zip(images[..., 0], labels, strict=True):
        np.testing.assert_array_equal(image, expected)
        np.testing.assert_array_equal(label, expected)


@pytest.mark.parametrize("dim", [2, 3])
def test_reading_only_the_region_changes_nothing(tmp_path, plan, plan_2d, dim):
    names = random_shards(tmp_path)
    whole, region = (
        epoch(tmp_path, plan if dim == 3 else plan_2d, names, replace(FULL, read_roi=flag)) for flag in (False, True)
    )
    assert_same(whole, region)


@pytest.mark.parametrize("dim", [2, 3])
def test_the_seed_and_the_number_of_the_epoch_decide_the_batches(tmp_path, plan, plan_2d, dim):
    names, chosen = random_shards(tmp_path), plan if dim == 3 else plan_2d
    first = epoch(tmp_path, chosen, names, FULL)
    assert_same(first, epoch(tmp_path, chosen, names[::-1], FULL))
    for other in (
        epoch(tmp_path, chosen, names, replace(FULL, seed=1)),
        epoch(tmp_path, chosen, names, FULL, number=1),
    ):
        assert any(not np.array_equal(a[0], b[0]) for a, b in zip(first, other, strict=True))


def test_an_epoch_is_the_same_whether_or_not_those_before_it_were_run(tmp_path, plan):
    names = random_shards(tmp_path)
    batches = TrainingBatches(tmp_path, plan, names, FULL, epochs=range(3))
    run = {number: [(i.numpy(), s.numpy()) for i, s in batches.epoch(number)] for number in range(3)}
    assert_same(run[2], epoch(tmp_path, plan, names, FULL, number=2))


def test_an_epoch_can_be_taken_up_in_its_middle(tmp_path, plan, without_noise):
    names = random_shards(tmp_path)
    batches = TrainingBatches(tmp_path, plan, names, FULL, epochs=range(1))
    rest = [(image.numpy(), label.numpy()) for image, label in batches.epoch(0, first_step=3)]
    assert_same(epoch(tmp_path, plan, names, FULL)[3:], rest)


@pytest.mark.parametrize("augmentation", ["none", "full"])
@pytest.mark.parametrize("workers", [2, 4])
def test_workers_together_see_the_batches_that_one_would_see(tmp_path, plan, without_noise, augmentation, workers):
    names = random_shards(tmp_path)
    alone = epoch(tmp_path, plan, names, replace(FULL, augmentation=augmentation))
    share = replace(FULL, augmentation=augmentation, batch_size=4 // workers)
    shares = [epoch(tmp_path, plan, names, share, Worker(rank, workers)) for rank in range(workers)]
    joined = [tuple(np.concatenate(parts) for parts in zip(*step, strict=True)) for step in zip(*shares, strict=True)]
    assert_same(alone, joined)


def test_workers_draw_noise_of_their_own(tmp_path, plan, monkeypatch):
    monkeypatch.setattr(parameters_module, "NOISE", parameters_module.Step(1.0, 0.1, 0.1))
    monkeypatch.setattr(parameters_module, "BRIGHTNESS", parameters_module.Step(0.0, 1.0, 1.0))
    write_shard(tmp_path, "case", np.zeros((20, 30, 25)), np.zeros((20, 30, 25)))
    settings = replace(PLAIN, augmentation="basic", batch_size=1, steps_per_epoch=1)
    one, other = (epoch(tmp_path, plan, ["case"], settings, Worker(rank, 2))[0][0] for rank in range(2))
    for image in (one, other):
        assert abs(image.std() - 0.1) < 0.005
    assert abs(np.corrcoef(one.reshape(-1), other.reshape(-1))[0, 1]) < 0.1


@pytest.mark.parametrize("dim", [2, 3])
def test_image_and_label_stay_aligned_under_full_augmentation(tmp_path, plan, plan_2d, dim, without_noise):
    random = np.random.default_rng(0)
    for index in range(4):
        image = np.sign(ndimage.gaussian_filter(random.normal(size=(30, 40, 35)), 3))
        write_shard(tmp_path, f"case_{index}", image, image > 0)
    names = [f"case_{index}" for index in range(4)]
    settings = replace(FULL, steps_per_epoch=10)
    chosen = plan if dim == 3 else plan_2d
    warped = draw_epoch(
        TrainingBatches(tmp_path, chosen, names, settings, epochs=range(1)).volumes, chosen, settings, 1, 0
    )
    assert warped.warped.any() and warped.coarse.any() and warped.blur.any()
    agreeing = [
        np.mean((image[..., 0] > image.mean()) == (label > 0))
        for images, labels in epoch(tmp_path, chosen, names, settings)
        for image, label in zip(images, labels, strict=True)
        if 0.2 < (label > 0).mean() < 0.8
    ]
    assert len(agreeing) > 10
    assert min(agreeing) > 0.85
    assert np.mean(agreeing) > 0.95


def test_basic_mirrors_image_and_label_alike(tmp_path, plan, monkeypatch):
    for name, neutral in (("NOISE", 0.0), ("BRIGHTNESS", 1.0)):
        monkeypatch.setattr(parameters_module, name, parameters_module.Step(0.0, neutral, neutral))
    label = np.random.default_rng(0).integers(0, 3, (20, 30, 25))
    write_shard(tmp_path, "case", label, label)
    plain = epoch(tmp_path, plan, ["case"], PLAIN)
    mirrored = epoch(tmp_path, plan, ["case"], replace(PLAIN, augmentation="basic"))
    drawn = draw_epoch(
        TrainingBatches(tmp_path, plan, ["case"], PLAIN, epochs=range(1)).volumes,
        plan,
        replace(PLAIN, augmentation="basic"),
        1,
        0,
    )
    for (images, labels), (plain_images, _), chosen in zip(mirrored, plain, drawn.mirror, strict=True):
        np.testing.assert_array_equal(images[..., 0], labels)
        for image, plain_image, axes in zip(images, plain_images, chosen, strict=True):
            np.testing.assert_array_equal(image, np.flip(plain_image, np.flatnonzero(axes)))


def test_channels_keep_their_order(tmp_path, plan):
    plan = plan.model_copy(update={"channels": ("a", "b", "c", "d")})
    shape = (20, 30, 25)
    write_shard(tmp_path, "case", np.zeros(shape), np.zeros(shape))
    write_array(image_path(tmp_path, "case"), np.broadcast_to(np.arange(4, dtype=np.float32) * 10, (*shape, 4)).copy())
    for augmentation in ("none", "full"):
        settings = replace(FULL, augmentation=augmentation)
        for images, _ in epoch(tmp_path, plan, ["case"], settings):
            means = images.mean(axis=(1, 2, 3))
            assert images.shape == (4, *plan.patch_size, 4)
            assert (np.diff(means, axis=1) > 2).all()


def test_2d_patches_are_slices_across_the_first_axis(tmp_path, plan_2d):
    shape = (7, 30, 25)
    names = numbered_shards(tmp_path, shape, count=1)
    images, labels = epoch(tmp_path, plan_2d, names, replace(PLAIN, batch_size=9))[0]
    assert images.shape == (9, 24, 16, 1)
    assert labels.shape == (9, 24, 16)
    for image in images[..., 0].astype(int):
        assert image[0, 1] - image[0, 0] == 1
        assert image[1, 0] - image[0, 0] == shape[2]
    assert sum(label.any() for label in labels) >= 3


def test_the_slices_of_a_2d_batch_come_from_the_number_of_volumes_asked_for(tmp_path, plan_2d):
    names = numbered_shards(tmp_path, (7, 30, 25), count=6)
    for images, _ in epoch(tmp_path, plan_2d, names, replace(PLAIN, batch_size=9, volumes=3)):
        assert len({int(image[0, 0, 0] - 1) // (7 * 30 * 25) for image in images}) == 3


@pytest.mark.parametrize(("volumes", "workers"), [(10, 1), (7, 1), (4, 2)])
def test_more_volumes_than_there_are_are_refused(tmp_path, plan_2d, volumes, workers):
    names = numbered_shards(tmp_path, (7, 30, 25), count=6)
    settings = replace(PLAIN, batch_size=9, volumes=volumes)
    with pytest.raises(UserError, match="can hold at most"):
        TrainingBatches(tmp_path, plan_2d, names, settings, Worker(0, workers), epochs=range(1))


def test_volumes_are_refused_in_3d(tmp_path, plan):
    with pytest.raises(UserError, match="leave it out"):
        TrainingBatches(tmp_path, plan, [], replace(PLAIN, volumes=2), epochs=range(1))


@pytest.mark.parametrize("dim", [2, 3])
def test_batches_are_the_same_without_the_tensorflow_plugin(tmp_path, plan, plan_2d, monkeypatch, dim):
    names = random_shards(tmp_path)
    chosen = plan if dim == 3 else plan_2d
    with_plugin = epoch(tmp_path, chosen, names, FULL)
    monkeypatch.setattr("nnunet_tf.data.pipeline.has_plugin", lambda: False)
    assert_same(epoch(tmp_path, chosen, names, FULL), with_plugin)


def test_without_the_plugin_a_run_goes_on_where_it_stopped(tmp_path, plan, monkeypatch):
    names = random_shards(tmp_path)
    monkeypatch.setattr("nnunet_tf.data.pipeline.has_plugin", lambda: False)
    whole = epoch(tmp_path, plan, names, PLAIN)
    batches = TrainingBatches(tmp_path, plan, names, PLAIN, epochs=range(2))
    assert_same([(image.numpy(), label.numpy()) for image, label in batches.epoch(0, 2)], whole[2:])
    assert len(list(batches.epoch(1))) == 4  # of which the first batches were begun before
