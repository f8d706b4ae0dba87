"""Weights are read where they are the network's own numbers."""

import h5py
import keras
import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.inference.models.weights_file import load_weights

NAME = "a.weights.h5"


def network() -> keras.Model:
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(3, name="dense")(inputs))


@pytest.fixture
def path(tmp_path):
    network().save_weights(tmp_path / NAME)
    return tmp_path / NAME


def kernel_of(file: h5py.File) -> h5py.Dataset:
    found = []
    file.visititems(lambda name, item: found.append(item) if getattr(item, "shape", None) == (4, 3) else None)
    return found[0]


def refused(path, tmp_path):
    with pytest.raises(UserError, match=NAME):
        load_weights(network(), path, "copy it again")


def test_weights_come_back(path):
    first, second = network(), network()
    load_weights(first, path, "")
    load_weights(second, path, "")
    np.testing.assert_array_equal(first.get_weights()[0], second.get_weights()[0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(path, tmp_path, value):
    with h5py.File(path, "a") as file:
        kernel_of(file)[1, 1] = value
    refused(path, tmp_path)


def test_a_small_file_that_would_become_large_is_refused(path, tmp_path):
    with h5py.File(path, "a") as file:
        name = kernel_of(file).name
        del file[name]
        file.create_dataset(name, (2**16, 2**14), np.float32, chunks=(2**8, 2**14), compression="gzip")
    assert path.stat().st_size < 2**20
    refused(path, tmp_path)


def test_weights_in_another_file_are_refused(path, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["kernel"] = np.zeros((4, 3), np.float32)
    with h5py.File(path, "a") as file:
        name = kernel_of(file).name
        del file[name]
        file[name] = h5py.ExternalLink("other.h5", "/kernel")
    refused(path, tmp_path)


@pytest.mark.parametrize("seed", range(40))
def test_damaged_weights_are_read_or_refused(path, tmp_path, seed):
    random, content = np.random.default_rng(seed), bytearray(path.read_bytes())
    for place in random.integers(0, len(content), 20):
        content[place] = random.integers(256)
    path.write_bytes(content)
    try:
        load_weights(network(), path, "")
    except UserError as error:
        assert str(path) in str(error)
