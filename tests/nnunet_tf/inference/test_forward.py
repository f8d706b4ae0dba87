import itertools

import keras
import numpy as np
import pytest

from nnunet_tf.inference.forward import flip_subsets, make_forward


def lopsided(dim):
    """A network that a flip disturbs: a random convolution."""
    keras.utils.set_random_seed(0)
    layer = keras.layers.Conv3D if dim == 3 else keras.layers.Conv2D
    inputs = keras.Input(((4,) * dim) + (1,))
    return keras.Model(inputs, layer(2, 3, padding="same")(inputs))


@pytest.mark.parametrize(("dim", "count"), [(2, 4), (3, 8)])
def test_all_flips_are_used_once(dim, count):
    subsets = flip_subsets(dim)
    assert len(subsets) == len(set(subsets)) == count


@pytest.mark.parametrize("dim", [2, 3])
def test_augmented_logits_are_the_mean_over_flipped_and_flipped_back(dim):
    network = lopsided(dim)
    patches = (
        np.random.default_rng(0).normal(size=(2, *((1, 4, 4, 1) if dim == 2 else (4, 4, 4, 1)))).astype(np.float32)
    )
    plain = make_forward(network, dim, test_time_augmentation=False)
    axes = range(4 - dim, 4)  # of the (N, D, H, W, C) patches; a 2D network's slices have D = 1
    subsets = [subset for count in range(dim + 1) for subset in itertools.combinations(axes, count)]
    expected = np.mean([np.flip(plain(np.flip(patches, subset)), subset) for subset in subsets], axis=0)
    augmented = make_forward(network, dim, test_time_augmentation=True)(patches)
    np.testing.assert_allclose(augmented, expected, atol=1e-5)
    assert not np.allclose(augmented, plain(patches), atol=1e-3)
    np.testing.assert_allclose(  # the mean over flips commutes with a flip
        make_forward(network, dim, True)(np.flip(patches, tuple(axes))), np.flip(augmented, tuple(axes)), atol=1e-5
    )
