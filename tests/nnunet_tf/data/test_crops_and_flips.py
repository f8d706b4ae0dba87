"""The augmentation of the U-Net and the TinyUNet, as patches come out of the pipeline."""

import numpy as np
import pytest
from scipy import ndimage

from nnunet_tf.data.augmentation import parameters as parameters_module
from nnunet_tf.data.pipeline import TrainingBatches
from nnunet_tf.data.sampling.epoch_samples import draw_epoch
from nnunet_tf.data.sampling.settings import BatchSettings
from nnunet_tf.data.sampling.shard_index import read_volumes
from tests.nnunet_tf.data.samples import write_shard
from tests.nnunet_tf.inference.samples import tiny_plan

SIDE = 16


def settings(augmentation):
    return BatchSettings(batch_size=16, steps_per_epoch=2, seed=0, augmentation=augmentation)


def epoch(folder, augmentation, image):
    """Patches as large as the one image there is, and what was drawn for them."""
    write_shard(folder, "case", image[np.newaxis], image[np.newaxis] > 5)
    plan = tiny_plan(2, patch_size=(SIDE, SIDE))
    batches = TrainingBatches(folder, plan, ["case"], settings(augmentation), epochs=range(1)).epoch(0)
    draws = draw_epoch(read_volumes(folder, ["case"]), plan, settings(augmentation), 1, 0)
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images)[..., 0], np.concatenate(labels), draws


def test_flips_are_the_eight_symmetries_of_a_square(tmp_path):
    image = np.random.default_rng(0).uniform(0, 10, (SIDE, SIDE)).astype(np.float32)
    symmetries = [np.rot90(each, turns) for each in (image, image[:, ::-1]) for turns in range(4)]
    images, labels, _ = epoch(tmp_path, "flips", image)
    found = set()
    for patch, label in zip(images, labels, strict=True):
        distances = [np.abs(patch - each).max() for each in symmetries]
        nearest = int(np.argmin(distances))
        found.add(nearest)
        assert distances[nearest] < 1e-3
        np.testing.assert_array_equal(label, symmetries[nearest] > 5)
    assert len(found) == 8


def test_crops_are_stretched_parts_of_the_image(tmp_path, monkeypatch):
    monkeypatch.setattr(parameters_module, "MIRROR_PROBABILITY", 0.0)
    image = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(SIDE, SIDE)), 2).astype(np.float32) * 30
    images, _, draws = epoch(tmp_path, "crops", image)
    warp, start = draws.warp.reshape(-1, 2, 3), draws.start.reshape(-1, 3)
    for index, patch in enumerate(images):
        # Corners of voxels are whole numbers here, (x, y); SciPy takes centres, (y, x).
        scale, offset = np.diag(warp[index])[::-1], warp[index, ::-1, 2]
        assert (scale >= 0.4).all() and (scale <= 1).all()
        first = start[index, 1:] + offset
        assert (first > -0.501).all() and (first + scale * SIDE < SIDE + 0.501).all()
        centres = first + 0.5 * scale - 0.5
        expected = ndimage.affine_transform(image, scale, centres, order=1, mode="nearest")
        inner = slice(2, -2)  # at the border DALI blends with 0
        shown = expected + draws.offset.reshape(-1)[index]
        np.testing.assert_allclose(patch[inner, inner], shown[inner, inner], atol=1e-2)


@pytest.mark.parametrize("augmentation", ["crops", "flips"])
def test_the_same_places_are_drawn_as_without_augmentation(tmp_path, augmentation):
    image = np.zeros((SIDE * 2, SIDE * 2), np.float32)
    write_shard(tmp_path, "case", image[np.newaxis], image[np.newaxis] > 5)
    plan, volumes = tiny_plan(2, patch_size=(SIDE, SIDE)), read_volumes(tmp_path, ["case"])
    drawn, plain = (draw_epoch(volumes, plan, settings(name), 1, 0) for name in (augmentation, "none"))
    np.testing.assert_array_equal(drawn.case, plain.case)
    moved = np.abs(drawn.start + drawn.shape / 2 - plain.start - plain.shape / 2).max()
    assert moved <= (0.15 * SIDE if augmentation == "crops" else 0)
