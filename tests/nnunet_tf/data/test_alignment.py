"""Image and label stay together: the label is fed as the image, and each counts the voxels along one axis.

Interpolated between two voxels, such an image is the place itself, and the label the voxel nearest to it.
"""

import numpy as np
import pytest

from nnunet_tf.data.pipeline import TrainingBatches
from nnunet_tf.data.sampling import epoch_samples as draws_module
from nnunet_tf.data.sampling.patch_positions import Places
from nnunet_tf.data.sampling.settings import BatchSettings
from nnunet_tf.networks.settings import NetworkSettings
from tests.nnunet_tf.data.samples import draw_always, write_shard
from tests.nnunet_tf.inference.samples import tiny_plan

SIDE, PATCHES = 40, 12
MIDDLE = Places(np.zeros(PATCHES, int), np.full((PATCHES, 3), 14))  # so that no patch reaches beyond the volume
ROUNDING = 1e-3
RANDOM = np.random.default_rng(0)
ROTATION = RANDOM.uniform(-0.5, 0.5, (PATCHES, 3))
SCALE = RANDOM.uniform(0.7, 1.4, (PATCHES, 1))
CROP = RANDOM.uniform(0, 0.3, (PATCHES, 3, 2))
TURNS = np.arange(PATCHES)[:, np.newaxis] % 4 * [np.pi / 2, 0, 0]  # in plane


def farthest(folder, monkeypatch, dim, drawn, network="nnunet"):
    """The largest distance of the label from the image, of patches that drew the same, along any axis; in voxels."""
    plan = tiny_plan(dim, patch_size=(12, 12, 12)[:dim])
    in_plane = np.arange(3) >= 3 - dim
    if dim == 2:
        drawn = {name: in_plane_only(name, value) for name, value in drawn.items()}
    draw_always(monkeypatch, **drawn)
    monkeypatch.setattr(draws_module, "draw_places", lambda *_: MIDDLE)
    settings = BatchSettings(PATCHES, 1, 0, "full", network=NetworkSettings(network=network))
    distances = []
    for axis in np.flatnonzero(in_plane):
        ramp = np.indices((SIDE,) * 3)[axis]
        write_shard(folder, "case", ramp, ramp)
        images, labels = next(TrainingBatches(folder, plan, ["case"], settings, epochs=range(1)).epoch(0))
        margin = (images.shape[1] - labels.shape[1]) // 2
        inside = (slice(None), *(slice(margin, margin + 12),) * dim)
        image, label = images.numpy()[..., 0][inside], labels.numpy()
        assert np.ptp(label) > 5
        distances.append(np.abs(label - image).max())
    return max(distances)


def in_plane_only(name, value):
    """Parameters for 2D: turned about z only, z not cropped."""
    if name == "rotation":
        return value * [1, 0, 0]
    return value * [[0], [1], [1]] if name == "crop" else value


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize(
    "drawn",
    [{"rotation": ROTATION}, {"scale": SCALE}, {"rotation": ROTATION, "scale": SCALE}, {"crop": CROP}],
    ids=["rotation", "scaling", "rotation and scaling", "crops"],
)
def test_the_label_is_the_voxel_nearest_to_where_the_image_is_taken_from(tmp_path, monkeypatch, dim, drawn):
    assert 0.4 < farthest(tmp_path, monkeypatch, dim, drawn) <= 0.5 + ROUNDING


@pytest.mark.parametrize("drawn", [{"crop": CROP}, {"rotation": ROTATION, "scale": SCALE}], ids=["crops", "rotation"])
def test_so_it_is_where_a_network_sees_more_than_the_patch(tmp_path, monkeypatch, drawn):
    assert 0.4 < farthest(tmp_path, monkeypatch, 2, drawn, "unet") <= 0.5 + ROUNDING


@pytest.mark.parametrize("dim", [2, 3])
def test_quarter_turns_take_image_and_label_from_the_same_voxel(tmp_path, monkeypatch, dim):
    assert farthest(tmp_path, monkeypatch, dim, {"rotation": TURNS}) <= ROUNDING
