import numpy as np
import pytest

from nnunet_tf.networks.build import build_network
from nnunet_tf.networks.settings import NetworkSettings
from nnunet_tf.networks.window import UNPADDED_LOSS, input_size, mirrored
from tests.nnunet_tf.networks.samples import NARROW, identity_network, name_of


def test_the_published_tile_is_572_voxels_for_388():
    assert UNPADDED_LOSS == 572 - 388
    assert NetworkSettings(network="unet").input_size((388, 388)) == (572, 572)


@pytest.mark.parametrize("settings", NARROW, ids=name_of)
@pytest.mark.parametrize("patch", [(16, 24), (7, 30), (1, 33)])
def test_the_patch_is_the_middle_of_what_is_seen(settings, patch):
    network = identity_network(settings, patch)
    assert network.input_shape[1:-1] == settings.input_size(patch)
    image = np.random.default_rng(0).uniform(1, 2, (2, *network.input_shape[1:])).astype(np.float32)
    sides = zip(image.shape[1:-1], patch, strict=True)
    assert all((size - side) % 2 == 0 for size, side in sides)
    (top, left) = ((size - side) // 2 for size, side in zip(image.shape[1:-1], patch, strict=True))
    np.testing.assert_array_equal(network(image), image[:, top : top + patch[0], left : left + patch[1]])


@pytest.mark.parametrize("lost", [0, UNPADDED_LOSS])
def test_the_input_is_the_smallest_that_fits(lost):
    for side in range(1, 200):
        (size,) = input_size((side,), lost)
        even = size - size % 2
        fitting = [n for n in range(lost + 1, 600) if _survives(n, lost > 0) and n - lost >= side]
        assert even == fitting[0]


def _survives(size, unpadded):
    """Whether each of four poolings finds an even size, and the bottleneck leaves something."""
    for _ in range(4):
        size -= 4 * unpadded
        if size <= 0 or size % 2:
            return False
        size //= 2
    return size - 4 * unpadded > 0


def test_nnunet_sees_its_patch():
    assert NetworkSettings().input_size((7, 30, 5)) == (7, 30, 5)


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_the_mirror_image_is_that_of_numpy(size):
    expected = np.pad(np.arange(size), 50, mode="reflect") if size > 1 else np.zeros(101)
    np.testing.assert_array_equal(mirrored(np.arange(-50, size + 50), size), expected)


@pytest.mark.parametrize("network", ["unet", "tiny-unet"])
def test_volumes_are_refused(network):
    with pytest.raises(ValueError, match=f"{network} sees images"):
        build_network(None, (16, 16, 16), 1, 1, NetworkSettings(network=network))
