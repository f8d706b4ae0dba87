"""Predictors of models in folders: folds, flips, postprocessing, and files that are damaged."""

import shutil

import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import write_model
from nnunet_tf.inference.models.folder import NETWORK_NAME, WEIGHTS_NAME
from nnunet_tf.inference.postprocessing.settings import Postprocessing, write_postprocessing
from nnunet_tf.inference.predictor import Predictor, load_network
from nnunet_tf.networks.settings import NetworkSettings
from tests.nnunet_tf.inference.samples import threshold_network, tiny_plan, write_untrained_model

HALF = 30.5  # below the voxels that are bright


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    home = tmp_path_factory.mktemp("models") / "task91_3d"
    networks = [write_untrained_model(home / f"fold_{fold}", tiny_plan(), seed=fold) for fold in range(2)]
    return home, networks


@pytest.fixture
def scan():
    return np.random.default_rng(0).normal(size=(9, 10, 11)).astype(np.float32)


def test_folds_average_their_logits(folds, scan):
    home, networks = folds
    together = Predictor(home)
    alone = [Predictor.of_network(network, tiny_plan()).logits(scan[..., np.newaxis]) for network in networks]
    assert np.abs(alone[0] - alone[1]).max() > 0.01
    np.testing.assert_allclose(together.logits(scan[..., np.newaxis]), np.mean(alone, axis=0), atol=1e-5)
    chosen = Predictor(home, folds=[1]).logits(scan[..., np.newaxis])
    np.testing.assert_allclose(chosen, alone[1], atol=1e-5)
    listed = Predictor([home / "fold_0", str(home / "fold_1")])
    assert len(listed.plans) == 1
    np.testing.assert_allclose(listed.logits(scan[..., np.newaxis]), np.mean(alone, axis=0), atol=1e-5)


def test_flips_along_chosen_axes_are_those_of_the_volume(folds, scan):
    home, _ = folds
    plain = Predictor(home / "fold_0").logits
    flipped = np.flip(plain(np.flip(scan, 1)[..., np.newaxis]), 1)
    expected = (plain(scan[..., np.newaxis]) + flipped) / 2
    by_y = Predictor(home / "fold_0", tta_axes="y").logits(scan[..., np.newaxis])
    np.testing.assert_allclose(by_y, expected, atol=1e-4)
    with pytest.raises(UserError, match="tta_axes zq: q is no axis"):
        Predictor(home / "fold_0", tta_axes="zq")


def test_flips_unless_chosen_are_those_that_training_has_shown(tmp_path, scan):
    folder = tmp_path / "fold_0"
    write_untrained_model(folder, tiny_plan())
    write_model(folder / NETWORK_NAME, NetworkSettings(mirror_axes="y"))
    learnt, chosen, every = (
        Predictor(folder, **words).logits(scan[..., np.newaxis])
        for words in ({"tta": True}, {"tta_axes": "y"}, {"tta_axes": "zyx"})
    )
    np.testing.assert_array_equal(learnt, chosen)
    assert np.abs(learnt - every).max() > 0.01


def test_postprocessing_of_the_model_is_applied_unless_it_is_not_wanted(tmp_path, folds):
    home, postprocessing = tmp_path / "task91_3d", Postprocessing(keep_largest_foreground=True)
    shutil.copytree(folds[0], home)
    write_postprocessing(home, postprocessing)
    assert Predictor(home).postprocessing == postprocessing
    assert Predictor(home, postprocessing=False).postprocessing is None
    voxels = np.zeros((3, 4, 5))
    voxels[0, 0, :2] = voxels[2, 3, 4] = 99
    predictor = Predictor.of_network(threshold_network(tiny_plan(), HALF), tiny_plan())
    affine = np.eye(4)
    assert np.argwhere(predictor(voxels, affine=affine)).tolist() == [[0, 0, 0], [0, 0, 1], [2, 3, 4]]
    predictor.postprocessing = postprocessing
    assert np.argwhere(predictor(voxels, affine=affine)).tolist() == [[0, 0, 0], [0, 0, 1]]


def test_damaged_weights_are_refused_by_name(tmp_path):
    plan = tiny_plan()
    (tmp_path / WEIGHTS_NAME).write_bytes(b"\x89HDF\r\n\x1a\n cut off")
    with pytest.raises(UserError, match=f"{NETWORK_NAME}: no such file; copy the model again"):
        load_network(tmp_path, plan)
    write_model(tmp_path / NETWORK_NAME, NetworkSettings())
    with pytest.raises(UserError, match=WEIGHTS_NAME):
        load_network(tmp_path, plan)


def test_weights_of_another_topology_are_refused_by_name(folds):
    home, _ = folds
    other = tiny_plan(topology=tiny_plan().topology.model_copy(update={"features": (8, 8)}))
    with pytest.raises(UserError, match=WEIGHTS_NAME):
        load_network(home / "fold_0", other)
