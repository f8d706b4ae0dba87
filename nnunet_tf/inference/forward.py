"""The network as a function on NumPy patches, with test-time augmentation."""

import itertools
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from nnunet_tf.inference.sliding_window import Forward


def make_forward(network: keras.Model, dim: int, test_time_augmentation: bool) -> Forward:
    """Returns the function from patches `(N, D, H, W, C)` to logits `(N, D, H, W, classes)`, float32.

    With test-time augmentation the logits are the mean over all flips of the patch (8 in 3D, 4 in 2D). For a 2D network
    the patches have depth 1.
    """
    subsets = flip_subsets(dim) if test_time_augmentation else [()]

    @tf.function(reduce_retracing=True)
    def logits(patches: tf.Tensor) -> tf.Tensor:
        flipped = [tf.reverse(patches, axes) if axes else patches for axes in subsets]
        predictions = [network(patch, training=False) for patch in flipped]
        restored = [tf.reverse(each, axes) if axes else each for each, axes in zip(predictions, subsets, strict=True)]
        return tf.add_n(restored) / len(restored)

    def forward(patches: np.ndarray) -> np.ndarray:
        if dim == 2:
            return logits(tf.constant(patches[:, 0])).numpy()[:, np.newaxis]
        return logits(tf.constant(patches)).numpy()

    return forward


def flip_subsets(dim: int) -> list[Sequence[int]]:
    """Returns all sets of spatial axes, of a batch `(N, *spatial, C)`, that a patch can be flipped along."""
    axes = range(1, dim + 1)
    return [subset for count in range(dim + 1) for subset in itertools.combinations(axes, count)]
