"""Patches for a network that sees mirror images beyond the border."""

import numpy as np
import pytest

from data_preprocessing.shards.format import image_path
from nnunet_tf.data.augmentation.source_boxes import mirror_regions, source_regions
from nnunet_tf.data.pipeline import TrainingBatches
from nnunet_tf.data.sampling.epoch_samples import draw_epoch
from nnunet_tf.data.sampling.settings import BatchSettings
from nnunet_tf.data.sampling.shard_index import read_volumes
from nnunet_tf.networks.settings import NetworkSettings
from tests.nnunet_tf.data.samples import numbered_shards, write_shard
from tests.nnunet_tf.inference.samples import tiny_plan

UNET = NetworkSettings(network="unet")
SHAPE = (3, 30, 25)


def settings(augmentation="none", **changes):
    fields = {"batch_size": 4, "steps_per_epoch": 3, "seed": 0, "network": UNET}
    return BatchSettings(augmentation=augmentation, **(fields | changes))


def epoch(folder, plan, names, batches):
    return list(TrainingBatches(folder, plan, names, batches, epochs=range(1)).epoch(0))


@pytest.mark.parametrize("patch", [(8, 16), (7, 40)])
@pytest.mark.parametrize("read_roi", [True, False])
def test_the_network_sees_the_volume_mirrored_at_its_borders_around_the_patch(tmp_path, patch, read_roi):
    plan, names = tiny_plan(2, patch_size=patch), numbered_shards(tmp_path, SHAPE)
    wanted = settings(read_roi=read_roi)
    draws = draw_epoch(read_volumes(tmp_path, names), plan, wanted, 1, 0)
    margin = [(size - side) // 2 for size, side in zip(UNET.input_size(patch), patch, strict=True)]
    # The one foreground voxel of each volume, by its number.
    marked = [np.load(image_path(tmp_path, name))[2, 3, 4, 0] for name in names]
    for step, (images, labels) in enumerate(epoch(tmp_path, plan, names, wanted)):
        assert images.shape == (4, *UNET.input_size(patch), 1)
        assert labels.shape == (4, *patch)
        for index in range(4):
            volume = np.load(image_path(tmp_path, names[draws.case[step, index]]))[..., 0]
            # The middle voxel tells where the patch lies; everything else must follow from it.
            seen = images[index, ..., 0].numpy()
            middle = [first + side // 2 for first, side in zip(margin, patch, strict=True)]
            z, y, x = np.argwhere(volume == seen[tuple(middle)])[0]
            padded = np.pad(volume[z], 250, mode="reflect")[250 + y - middle[0] :, 250 + x - middle[1] :]
            np.testing.assert_array_equal(seen, padded[: seen.shape[0], : seen.shape[1]])
            inside = tuple(slice(first, first + side) for first, side in zip(margin, patch, strict=True))
            np.testing.assert_array_equal(labels[index], np.isin(seen, marked)[inside])


@pytest.mark.parametrize("augmentation", ["none", "full", "crops", "flips"])
def test_image_and_label_stay_aligned(tmp_path, augmentation):
    plan = tiny_plan(2, patch_size=(12, 12))
    image = np.zeros((2, 40, 40))
    image[:, 8:30, 5:22] = 100
    write_shard(tmp_path, "case", image, image > 0)
    inside = slice(96, 108)  # of 204 voxels
    agreeing = []
    for images, labels in epoch(tmp_path, plan, ["case"], settings(augmentation, batch_size=8)):
        for seen, label in zip(images[..., 0].numpy(), labels.numpy(), strict=True):
            part = seen[inside, inside]
            agreeing.append(np.mean((part > (seen.min() + seen.max()) / 2) == (label > 0)))
    assert np.mean(agreeing) > 0.97
    assert min(agreeing) > 0.8


def test_a_region_is_put_together_from_what_is_read():
    random = np.random.default_rng(0)
    sizes = random.integers(1, 20, (50, 3))
    start = random.integers(-60, 30, (50, 3))
    wanted = source_regions(start, (1, 24, 33), np.zeros((50, 3)), np.ones(50))
    parts, order = mirror_regions(wanted, sizes)
    assert (parts.start >= 0).all()
    assert (parts.start + parts.shape <= sizes).all()
    for index in range(50):
        for axis in range(3):
            values = np.arange(sizes[index, axis])
            length = wanted.shape[index, axis]
            read = values[parts.start[index, axis] :][: parts.shape[index, axis]]
            first = start[index, axis]
            padded = np.pad(values, 200, mode="reflect") if len(values) > 1 else np.zeros(500, int)
            expected = padded[200 + first : 200 + first + length]
            np.testing.assert_array_equal(read[order[index, axis, :length]], expected)
