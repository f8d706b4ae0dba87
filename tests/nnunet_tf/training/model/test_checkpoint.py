import keras
import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.training.config.settings import CHECKPOINT_NAME
from nnunet_tf.training.model.checkpoint import load_checkpoint, save_checkpoint


def network_and_optimizer(units=3, seed=0):
    keras.utils.set_random_seed(seed)
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(units)])
    optimizer = keras.optimizers.AdamW(0.1)
    optimizer.build(network.trainable_variables)
    return network, optimizer


def state(network, optimizer):
    return {"network": network.variables, "optimizer": optimizer.variables}


def train(network, optimizer, steps):
    for step in range(steps):
        gradients = [np.full(weight.shape, step + 1.0, np.float32) for weight in network.trainable_variables]
        optimizer.apply(gradients, network.trainable_variables)


def test_a_run_goes_on_from_its_checkpoint_as_if_it_had_not_stopped(tmp_path):
    network, optimizer = network_and_optimizer()
    train(network, optimizer, 3)
    save_checkpoint(tmp_path, state(network, optimizer), epochs_done=7)
    resumed, resumed_optimizer = network_and_optimizer(seed=1)
    assert load_checkpoint(tmp_path, state(resumed, resumed_optimizer)) == 7
    train(network, optimizer, 2)
    train(resumed, resumed_optimizer, 2)
    for one, other in zip(network.weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_nothing_to_resume_is_told(tmp_path):
    with pytest.raises(UserError, match="nothing to resume"):
        load_checkpoint(tmp_path, state(*network_and_optimizer()))


def test_the_checkpoint_of_another_network_is_refused_and_changes_nothing(tmp_path):
    save_checkpoint(tmp_path, state(*network_and_optimizer(units=4)), epochs_done=1)
    network, optimizer = network_and_optimizer()
    before = np.array(network.weights[0])
    with pytest.raises(UserError, match="another network"):
        load_checkpoint(tmp_path, state(network, optimizer))
    np.testing.assert_array_equal(network.weights[0], before)


def test_a_run_that_now_averages_its_weights_is_refused(tmp_path):
    saved = state(*network_and_optimizer())
    save_checkpoint(tmp_path, saved, epochs_done=1)
    with pytest.raises(UserError, match="another network"):
        load_checkpoint(tmp_path, saved | {"average": saved["network"]})


@pytest.mark.parametrize("keep", [0, 10, 0.5])
def test_a_damaged_checkpoint_is_refused(tmp_path, keep):
    save_checkpoint(tmp_path, state(*network_and_optimizer()), epochs_done=1)
    path = tmp_path / CHECKPOINT_NAME
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(len(content) * keep)])
    with pytest.raises(UserError, match=r"checkpoint.npz: damaged"):
        load_checkpoint(tmp_path, state(*network_and_optimizer()))


def test_a_checkpoint_that_does_not_say_how_far_it_is_is_refused(tmp_path):
    arrays = {f"network/{number}": array for number, array in enumerate(network_and_optimizer()[0].get_weights())}
    np.savez(tmp_path / CHECKPOINT_NAME, **arrays)
    with pytest.raises(UserError, match=CHECKPOINT_NAME):
        load_checkpoint(tmp_path, state(*network_and_optimizer()))


def test_a_compressed_checkpoint_is_refused(tmp_path):
    np.savez_compressed(tmp_path / CHECKPOINT_NAME, epochs_done=np.array(1), zeros=np.zeros(2**24))
    with pytest.raises(UserError, match=CHECKPOINT_NAME):
        load_checkpoint(tmp_path, state(*network_and_optimizer()))
