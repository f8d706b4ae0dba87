"""Every network gives the logits of Keras, whatever computes it."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf

from data_preprocessing.common.errors import UserError
from data_preprocessing.images.volume_io import Volume
from data_preprocessing.planning.plan import Region
from data_preprocessing.transforms.normalize import Normalization
from nnunet_tf.inference.engines.choice import EngineChoice, load_networks
from nnunet_tf.inference.engines.graph import build_graph
from nnunet_tf.inference.engines.weights import UnknownWeights, read_weights, weights_of
from nnunet_tf.inference.models.folder import WEIGHTS_NAME, ModelFiles, open_models
from nnunet_tf.inference.predictor import Predictor
from nnunet_tf.inference.volume.prediction import Wanted
from nnunet_tf.networks.settings import NetworkSettings
from tests.nnunet_tf.inference.engines.installed import ENGINES
from tests.nnunet_tf.inference.samples import tiny_plan, write_untrained_model
from tests.nnunet_tf.networks.contract import CASES, CHANNELS, build, name_of

ROUNDING = 3e-5  # of logits of about 5: float32, summed in another order


@pytest.fixture(scope="module", params=CASES, ids=name_of)
def contract(request):
    contract = build(*request.param)
    random = np.random.default_rng(2)
    for weight in contract.network.non_trainable_weights:  # the statistics of batch normalization
        if "moving_mean" in weight.path:
            weight.assign(random.normal(0, 0.3, weight.shape))
        if "moving_variance" in weight.path:
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
    return contract


@pytest.fixture(scope="module")
def saved(contract, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / WEIGHTS_NAME
    contract.network.save_weights(path)
    return path


def files_of(contract, path):
    plan = tiny_plan(
        dim=len(contract.patch),
        channels=("MRI",) * CHANNELS,
        patch_size=contract.patch,
        topology=contract.topology,
        normalization=(Normalization(name="none"),) * CHANNELS,
    )
    return ModelFiles(plan, contract.settings, path, None, path.parent)


def test_the_file_of_weights_holds_the_arrays_of_the_network(contract, saved):
    expected, found = weights_of(contract.network), read_weights(saved)
    assert found.keys() == expected.keys()
    for name, arrays in expected.items():
        for array, other in zip(arrays, found[name], strict=True):
            np.testing.assert_array_equal(array, other)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_logits_are_those_of_keras(engine, contract, saved):
    (network,) = load_networks([files_of(contract, saved)], EngineChoice(engine, "float32"))
    network.prepare(in_flight=2, memory=2**30)
    windows = np.ascontiguousarray(np.moveaxis(contract.image, -1, 1))
    found = np.stack([logits.copy() for logits in network.infer(windows)])
    expected = np.moveaxis(tf.nest.flatten(contract.network(contract.image))[0].numpy(), -1, 1)
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(found, expected, atol=ROUNDING, rtol=ROUNDING)


@pytest.fixture(scope="module", params=[2, 3])
def folds(request, tmp_path_factory):
    dim = request.param
    home = tmp_path_factory.mktemp("models") / f"task91_{dim}d"
    for fold in range(2):
        write_untrained_model(home / f"fold_{fold}", tiny_plan(dim), seed=fold)
    return home


@pytest.fixture(scope="module")
def scan():
    return np.random.default_rng(0).normal(size=(9, 21, 12)).astype(np.float32)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("options", [{}, {"tta": True}, {"tta_axes": "x", "overlap": 0}], ids=str)
def test_folds_flips_and_windows_agree_with_tensorflow(engine, folds, scan, options):
    one, other = (
        Predictor(folds, engine=name, device="cpu", **options).logits(scan[..., np.newaxis])
        for name in (engine, "tensorflow")
    )
    np.testing.assert_allclose(one, other, atol=ROUNDING, rtol=ROUNDING)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("regions", [False, True])
def test_labels_probabilities_and_uncertainty_agree_with_tensorflow(engine, regions, tmp_path, scan):
    structures = tuple(Region(name=f"r{value}", classes=(value,), value=value) for value in (1, 2))
    plans = [tiny_plan(dim, **({"regions": structures} if regions else {})) for dim in (2, 3)]
    homes = [tmp_path / f"{plan.dim}d" / "fold_0" for plan in plans]
    for plan, home in zip(plans, homes, strict=True):
        write_untrained_model(home, plan, seed=plan.dim)
    predictions = []
    for name in (engine, "tensorflow"):
        predictor = Predictor(homes, engine=name, device="cpu", tta=True)
        volume = volume_of_array(scan)
        predictions.append(predictor.predict(volume, Wanted(tmp_path / f"{name}.npy", uncertainty=True)))
    found, expected = predictions
    np.testing.assert_allclose(found.entropy, expected.entropy, atol=1e-4)
    np.testing.assert_allclose(found.spread, expected.spread, atol=1e-4)
    apart = np.abs(found.probabilities.astype(int) - expected.probabilities).max()
    assert apart <= 6  # of 65535
    assert expected.spread.max() > 0.01
    shares = np.sort(expected.probabilities / 65535, axis=0)
    tied = (np.abs(shares - 0.5).min(axis=0) if regions else shares[-1] - shares[-2]) < 1e-3
    assert np.all((found.labels == expected.labels) | tied)


def volume_of_array(scan) -> Volume:
    import nibabel as nib

    from nnunet_tf.inference.volume.inputs import scan_of

    return scan_of(nib.Nifti1Image(scan, np.eye(4)), [tiny_plan()], "array")


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n cut off"])
def test_damaged_weights_are_unknown(tmp_path, content):
    path = Path(tmp_path / WEIGHTS_NAME)
    path.write_bytes(content)
    with pytest.raises(UnknownWeights):
        read_weights(path)


class NoOperations:
    """Does nothing: what is refused is refused before anything is computed."""

    def __getattr__(self, name):
        return lambda *arguments: None


def tiny_graph(plan, settings, path):
    build_graph(
        plan.topology, plan.patch_size, len(plan.channels), plan.outputs, settings, read_weights(path), NoOperations()
    )


def test_only_weights_of_the_very_network_are_taken(folds):
    files = open_models(folds)[0]
    plan, settings = files.plan, files.network
    tiny_graph(plan, settings, files.weights)
    topology, flat = plan.topology, {"kernels": ((1,) * plan.dim,) * 2}
    others = [
        (plan.model_copy(update={"channels": ("a", "b")}), settings),
        (plan.model_copy(update={"classes": ("background", "organ"), "label_values": (0, 4)}), settings),
        (plan.model_copy(update={"topology": topology.model_copy(update={"features": (8, 8)})}), settings),
        (
            plan.model_copy(update={"topology": topology.model_copy(update=flat)}),
            settings,
        ),
        (plan, settings.model_copy(update={"norm": "none"})),
        (plan, settings.model_copy(update={"norm": "batch"})),
        (plan, settings.model_copy(update={"encoder": "residual"})),
    ]
    for other_plan, other_settings in others:
        with pytest.raises(UnknownWeights):
            tiny_graph(other_plan, other_settings, files.weights)


def damaged_copy(source, folder, damage):
    path = folder / WEIGHTS_NAME
    shutil.copyfile(source, path)
    with h5py.File(path, "r+") as file:
        layer = next(name for name in file["layers"] if "conv" in name)
        damage(file, f"layers/{layer}/vars/0")
    return path


def with_nan(file, name):
    file[name][...] = np.nan


def linked_out(file, name):
    del file[name]
    file[name] = h5py.ExternalLink("/etc/other.h5", "/x")


def inflated(file, name):
    del file[name]
    file.create_dataset(name, (2**14, 2**14), "f4", chunks=(256, 256), compression="gzip")


@pytest.mark.parametrize("damage", [with_nan, linked_out, inflated])
def test_weights_that_are_not_to_be_read_are_the_users_mistake(folds, tmp_path, damage):
    path = damaged_copy(open_models(folds)[0].weights, tmp_path, damage)
    with pytest.raises(UserError, match=WEIGHTS_NAME):
        read_weights(path)


@pytest.mark.parametrize("engine", ENGINES)
def test_weights_of_another_network_are_refused(engine, folds):
    files = open_models(folds)[0]
    dim = files.plan.dim
    other = tiny_plan(dim, topology=files.plan.topology.model_copy(update={"features": (8, 8)}), channels=("a", "b"))
    with pytest.raises(UserError, match=WEIGHTS_NAME):
        load_networks(
            [ModelFiles(other, NetworkSettings(), files.weights, None, files.folder)], EngineChoice(engine, "float32")
        )
