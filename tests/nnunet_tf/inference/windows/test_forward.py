import keras
import numpy as np
import pytest
from scipy.special import expit, softmax

from nnunet_tf.inference.windows.flips import flip_subsets
from nnunet_tf.inference.windows.forward import make_forward


def lopsided(dim, seed=0):
    """A network that a flip disturbs: a random convolution."""
    keras.utils.set_random_seed(seed)
    layer = keras.layers.Conv3D if dim == 3 else keras.layers.Conv2D
    inputs = keras.Input(((4,) * dim) + (1,))
    return keras.Model(inputs, layer(2, 3, padding="same", kernel_initializer="random_normal")(inputs) * 9)


def random_patches(dim, count=2):
    shape = (count, *((1, 4, 4, 1) if dim == 2 else (4, 4, 4, 1)))
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def passes(networks, dim, patches):
    """The logits `(N, D, H, W, 2)` of each network and each flip, in NumPy but for the network itself."""
    offset = 4 - dim  # of the (N, D, H, W, C) patches; a 2D network's slices have D = 1
    for network in networks:
        for flip in flip_subsets(range(dim)):
            axes = [axis + offset for axis in flip]
            flipped = np.flip(patches, axes)
            logits = network.predict_on_batch(flipped if dim == 3 else flipped[:, 0])
            yield np.flip(logits if dim == 3 else logits[:, np.newaxis], axes)


@pytest.mark.parametrize(("dim", "count"), [(2, 4), (3, 8)])
def test_all_flips_are_used_once(dim, count):
    subsets = flip_subsets(range(dim))
    assert len(subsets) == len(set(subsets)) == count


@pytest.mark.parametrize("dim", [2, 3])
def test_without_augmentation_the_scores_are_the_logits_channels_first(dim):
    network, patches = lopsided(dim), random_patches(dim)
    expected = next(passes([network], dim, patches))
    np.testing.assert_allclose(make_forward([network])(patches), np.moveaxis(expected, -1, 1), atol=1e-5)


@pytest.mark.parametrize("networks", [1, 3])
@pytest.mark.parametrize("dim", [2, 3])
def test_augmented_logits_are_the_mean_over_networks_and_flips(dim, networks):
    networks, patches = [lopsided(dim, seed) for seed in range(networks)], random_patches(dim)
    expected = np.mean(list(passes(networks, dim, patches)), axis=0)
    forward = make_forward(networks, flip_subsets(range(dim)))
    augmented = forward(patches)
    np.testing.assert_allclose(augmented, np.moveaxis(expected, -1, 1), atol=1e-5)
    assert not np.allclose(augmented, make_forward(networks)(patches), atol=1e-3)
    axes = tuple(range(4 - dim, 4))  # the mean over flips commutes with a flip
    turned = np.flip(augmented, [axis + 1 for axis in axes])
    np.testing.assert_allclose(forward(np.flip(patches, axes)), turned, atol=1e-5)


@pytest.mark.parametrize("regions", [False, True])
def test_the_variance_is_that_of_the_probabilities_over_networks_and_flips(regions):
    networks, patches = [lopsided(3, seed) for seed in range(2)], random_patches(3)
    logits = np.array(list(passes(networks, 3, patches)), np.float64)
    shares = expit(logits) if regions else softmax(logits, axis=-1)
    scores = make_forward(networks, flip_subsets(range(3)), with_variance=True, regions=regions)(patches)
    assert scores.shape == (2, 4, 4, 4, 4)
    np.testing.assert_allclose(scores[:, :2], np.moveaxis(logits.mean(axis=0), -1, 1), atol=1e-5)
    np.testing.assert_allclose(scores[:, 2:], np.moveaxis(shares.var(axis=0), -1, 1), atol=1e-6)
    assert shares.var(axis=0).max() > 0.01
    more = make_forward(networks, flip_subsets(range(3)), with_variance=True, with_mean=True, regions=regions)(patches)
    np.testing.assert_allclose(more[:, :4], scores, atol=1e-5)
    np.testing.assert_allclose(more[:, 4:], np.moveaxis(shares.mean(axis=0), -1, 1), atol=1e-6)


def test_new_weights_are_used_at_once():
    network, patches = lopsided(3), random_patches(3)
    forward = make_forward([network])
    before = forward(patches).copy()
    network.set_weights([2 * weights for weights in network.get_weights()])
    np.testing.assert_allclose(forward(patches), 2 * before, atol=1e-5)


def test_batches_may_differ_in_size():
    forward, patches = make_forward([lopsided(3)]), random_patches(3, count=3)
    np.testing.assert_allclose(forward(patches[:1]), forward(patches)[:1], atol=1e-6)
