import shutil
import subprocess
import sys
import warnings
import zipfile

import h5py
import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import write_model
from data_preprocessing.planning.plan import PLAN_NAME, write_plan
from nnunet_tf.inference.models.folder import NETWORK_NAME, WEIGHTS_NAME, open_models
from nnunet_tf.inference.models.package_file import MANIFEST_NAME, Manifest, write_package
from nnunet_tf.inference.models.packaging import package
from nnunet_tf.inference.postprocessing.settings import POSTPROCESSING_NAME, Postprocessing, write_postprocessing
from nnunet_tf.networks.settings import NetworkSettings
from tests.commands import ROOT
from tests.nnunet_tf.inference.model_samples import make_plan_of_one_class, write_fold


def members(path):
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def network_of(plan, settings):
    from nnunet_tf.networks.build import build_network

    return build_network(plan.topology, plan.patch_size, len(plan.channels), plan.outputs, settings)


@pytest.fixture
def trained(tmp_path):
    """The folder of a model with weights, and its network."""
    plan, settings = make_plan_of_one_class(), NetworkSettings(norm="batch", negative_slope=0.1)
    folder = tmp_path / "results" / "task90_3d" / "fold_0"
    folder.mkdir(parents=True)
    network = network_of(plan, settings)
    network.save_weights(folder / WEIGHTS_NAME)
    write_plan(folder, plan)
    write_model(folder / NETWORK_NAME, settings)
    return folder, network


def test_a_network_comes_back_with_the_very_weights_when_everything_else_is_gone(trained, tmp_path):
    folder, network = trained
    package(folder, tmp_path / "model.zip")
    shutil.rmtree(tmp_path / "results")
    (model,) = open_models(tmp_path / "model.zip")
    again = network_of(model.plan, model.network)
    again.load_weights(model.weights)
    for one, other in zip(again.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_that_lie_in_another_file_are_not_fetched_from_there(trained, tmp_path):
    folder, network = trained
    with h5py.File(folder / WEIGHTS_NAME, "a") as weights, h5py.File(tmp_path / "secret.h5", "w") as secret:
        kernel = weights["layers"]["conv3d"]["vars"]
        secret["0"] = kernel["0"][...]
        del kernel["0"]
        kernel["0"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "0")
    package(folder, tmp_path / "model.zip")
    (model,) = open_models(tmp_path / "model.zip")
    with (
        warnings.catch_warnings(action="ignore"),  # Keras warns of each layer before it refuses
        pytest.raises(ValueError, match="H5 file with ExternalLink"),
    ):
        network.load_weights(model.weights)


def test_layers_that_a_package_brings_are_refused(tmp_path):
    folder = write_fold(tmp_path, 0)
    (folder / NETWORK_NAME).write_text('{"class_name": "Functional", "config": {"layers": [{"class_name": "Lambda"}]}}')
    names = (PLAN_NAME, NETWORK_NAME, WEIGHTS_NAME)
    write_package(tmp_path / "model.zip", {f"fold_0/{name}": folder / name for name in names})
    with pytest.raises(UserError, match=f"{NETWORK_NAME}: class_name: Extra inputs are not permitted"):
        open_models(tmp_path / "model.zip")


def test_a_fold_goes_in_with_what_prediction_needs_and_nothing_else(tmp_path):
    folder = write_fold(tmp_path / "task90_3d", 3)
    (folder / "checkpoint.npz").write_bytes(b"of training")
    package(folder, tmp_path / "model.zip")
    assert set(members(tmp_path / "model.zip")) == {
        *(f"fold_3/{name}" for name in (PLAN_NAME, NETWORK_NAME, WEIGHTS_NAME)),
        MANIFEST_NAME,
    }


@pytest.mark.parametrize("beside", [False, True])
def test_the_postprocessing_goes_with_the_model(tmp_path, beside):
    folder = write_fold(tmp_path / "task90_3d", 0)
    postprocessing = Postprocessing(keep_largest=(1,))
    write_postprocessing(folder.parent if beside else folder, postprocessing)
    package(folder, tmp_path / "model.zip")
    assert open_models(tmp_path / "model.zip")[0].postprocessing == postprocessing


def test_a_model_whose_folder_is_no_fold_is_packed_and_opened(tmp_path):
    write_fold(tmp_path, 0).rename(tmp_path / "mine")
    write_postprocessing(tmp_path / "mine", Postprocessing(keep_largest=(1,)))
    package(tmp_path / "mine", tmp_path / "model.zip")
    expected = {PLAN_NAME, NETWORK_NAME, WEIGHTS_NAME, POSTPROCESSING_NAME, MANIFEST_NAME}
    assert set(members(tmp_path / "model.zip")) == expected
    (model,) = open_models(tmp_path / "model.zip")
    assert model.postprocessing == Postprocessing(keep_largest=(1,))
    with pytest.raises(UserError, match=r"model.zip: holds one model and no folds"):
        open_models(tmp_path / "model.zip", [0])


def test_the_manifest_has_size_checksum_and_versions(tmp_path):
    folder = write_fold(tmp_path, 0)
    package(tmp_path, tmp_path / "model.zip")
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        manifest = Manifest.model_validate_json(archive.read(MANIFEST_NAME))
    record = manifest.files[f"fold_0/{WEIGHTS_NAME}"]
    assert record.size == (folder / WEIGHTS_NAME).stat().st_size
    summed = subprocess.run(["sha256sum", folder / WEIGHTS_NAME], capture_output=True, text=True, check=True)
    assert record.sha256 == summed.stdout.split()[0]
    assert set(manifest.versions) == {"tensorflow", "keras", "numpy", "nnunet_tf"}


def test_an_incomplete_fold_is_refused_and_nothing_is_written(tmp_path):
    write_fold(tmp_path, 0)
    (write_fold(tmp_path, 1) / WEIGHTS_NAME).unlink()
    with pytest.raises(UserError, match=f"fold_1/{WEIGHTS_NAME}: there is no trained model"):
        package(tmp_path, tmp_path / "model.zip")
    assert not (tmp_path / "model.zip").exists()


def test_a_package_is_not_packed_again(tmp_path):
    package(write_fold(tmp_path, 0), tmp_path / "model.zip")
    with pytest.raises(UserError, match=r"model.zip: is a file; copy a package as it is"):
        package(tmp_path / "model.zip", tmp_path / "again.zip")


@pytest.mark.slow
def test_the_command_packs_or_says_in_a_line_why_not(tmp_path):
    write_fold(tmp_path, 0)
    command = [sys.executable, "-m", "nnunet_tf.package"]
    done = subprocess.run(
        [*command, tmp_path, tmp_path / "m.zip"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{tmp_path}/m.zip: 0.0 MiB\n"
    done = subprocess.run([*command, tmp_path / "no", "m.zip"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no: there is no trained model; train one" in done.stderr


@pytest.mark.parametrize("target", [WEIGHTS_NAME, PLAN_NAME, "last.weights.h5", "link.zip", "../../../scan.nii.gz"])
def test_a_package_replaces_no_file_but_a_package(tmp_path, target):
    folder = write_fold(tmp_path / "results" / "task90_3d", 0)
    (tmp_path / "scan.nii.gz").write_bytes(b"scan")
    (folder / "link.zip").symlink_to(WEIGHTS_NAME)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UserError):
        package(folder, folder / target)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    for _ in range(2):
        package(folder, folder / "model.zip")
