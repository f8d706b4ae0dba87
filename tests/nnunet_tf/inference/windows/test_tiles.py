"""Networks that see more than they predict, here networks that show the middle of what they see."""

import numpy as np
import pytest

from nnunet_tf.inference.models.folder import ModelFiles
from nnunet_tf.inference.models.grouping import configurations
from nnunet_tf.inference.predictor import Predictor
from nnunet_tf.inference.windows.sliding_window import WindowOptions, cut_mirrored, sliding_window
from nnunet_tf.networks.settings import NetworkSettings
from tests.nnunet_tf.inference.samples import tiny_plan
from tests.nnunet_tf.networks.samples import NARROW, identity_network, name_of

SHAPES = [(2, 40, 33), (1, 8, 8), (3, 5, 60), (1, 1, 4)]


def image_of(shape):
    return np.random.default_rng(0).uniform(1, 2, (*shape, 1)).astype(np.float32)


def middle(windows):
    """The network of patches 8 x 6 that sees 14 x 16."""
    return np.moveaxis(windows[:, :, 3:-3, 5:-5], -1, 1)


@pytest.mark.parametrize("blend_mode", ["gaussian", "constant"])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_middle_of_the_windows_gives_the_image_back(shape, overlap, blend_mode):
    image = image_of(shape)
    options = WindowOptions(overlap, blend_mode, batch_size=3)
    result = sliding_window(image, (1, 8, 6), middle, 1, options, (1, 14, 16))
    np.testing.assert_allclose(result, image, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_windows_that_do_not_overlap_give_it_back_exactly(shape):
    # The last window of an axis is flush with its end and overlaps all the same, with the same values.
    result = sliding_window(image_of(shape), (1, 8, 6), middle, 1, WindowOptions(0.0, "constant"), (1, 14, 16))
    np.testing.assert_array_equal(result, image_of(shape))


@pytest.mark.parametrize("corner", [(0, 0, 0), (1, -3, 28), (0, 33, 2)])
def test_a_window_is_mirrored_beyond_the_image(corner):
    image = image_of((2, 40, 33))
    padded = np.pad(image, [(0, 0), (30, 30), (30, 30), (0, 0)], mode="reflect")
    z, y, x = corner
    expected = padded[z : z + 1, y + 27 : y + 41, x + 25 : x + 41]
    np.testing.assert_array_equal(cut_mirrored(image, corner, (1, 8, 6), (1, 14, 16)), expected)


@pytest.mark.parametrize("tta", [False, True])
@pytest.mark.parametrize("settings", NARROW, ids=name_of)
@pytest.mark.parametrize("patch", [(16, 24), (13, 10)])
def test_the_real_networks_give_the_image_back_flipped_or_not(settings, patch, tta):
    plan = tiny_plan(2, patch_size=patch, classes=("alone",), label_values=(0,))
    predictor = Predictor.of_network(identity_network(settings, patch), plan, tta=tta)
    image = image_of((2, 30, 21))
    np.testing.assert_allclose(predictor.logits(image), image, rtol=1e-5)


def test_models_that_see_different_windows_are_different_configurations(tmp_path):
    plan = tiny_plan(2)
    files = [
        ModelFiles(plan, NetworkSettings(network=network), tmp_path, None, tmp_path)
        for network in ("nnunet", "unet", "unet", "tiny-unet")
    ]
    assert configurations(files) == [[files[0]], files[1:3], [files[3]]]
