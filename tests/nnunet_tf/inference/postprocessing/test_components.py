import numpy as np
import pytest
from scipy import ndimage

from nnunet_tf.inference.postprocessing import components as module
from nnunet_tf.inference.postprocessing.components import connected_components, slabs

CORNERS = np.ones((3, 3, 3))  # voxels that share a corner are connected


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_component_of_every_number_is_found_with_its_voxels(dtype):
    labels = np.random.default_rng(0).choice([0, 0, 0, 0, 0, 3, 200], (12, 14, 16)).astype(dtype)
    found = connected_components(labels)
    for number in (3, 200):
        expected, count = ndimage.label(labels == number, CORNERS)
        ids = np.flatnonzero(found.values == number)
        assert len(ids) == count
        for component in ids:
            inside = np.unique(expected[found.ids == component])
            assert len(inside) == 1
            assert found.sizes[component] == np.count_nonzero(expected == inside[0])
    assert (found.values[0], found.sizes[0]) == (0, 0)


def test_a_volume_of_many_slabs_is_counted_like_one_of_a_single_slab(monkeypatch):
    labels = np.random.default_rng(1).integers(0, 4, (9, 5, 6), np.uint8)
    whole = connected_components(labels)
    monkeypatch.setattr(module, "SLAB_VOXELS", 61)
    assert len(list(slabs(labels.shape))) == 5
    in_parts = connected_components(labels)
    np.testing.assert_array_equal(in_parts.sizes, whole.sizes)
    np.testing.assert_array_equal(in_parts.values, whole.values)


def test_among_others_the_largest_may_be_a_smaller_one():
    labels = np.array([[[1, 1, 1, 0, 1, 1, 0, 1, 0, 2]]], np.uint8)
    found = connected_components(labels)
    among = found.ids[0, 0, [4, 7]]
    assert found.largest()[found.ids].tolist() == [[[True] * 3 + [False] * 6 + [True]]]
    assert np.flatnonzero(found.largest(np.isin(np.arange(len(found.sizes)), among))).tolist() == [among[0]]


def test_of_two_as_large_the_first_counts_as_the_largest():
    found = connected_components(np.array([[[1, 1, 0, 1, 1]]], np.uint8))
    assert found.smaller([1])[found.ids].tolist() == [[[False, False, False, True, True]]]
