"""An exported model gives the labels of prediction through its own example, with NumPy and one library."""

import importlib.util
import json
import subprocess
import sys

import keras
import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import write_model
from data_preprocessing.planning.plan import Region, write_plan
from data_preprocessing.planning.topology import Topology
from data_preprocessing.transforms.normalize import Normalization
from nnunet_tf.export.export import export
from nnunet_tf.inference.engines.choice import is_installed
from nnunet_tf.inference.models.folder import NETWORK_NAME, WEIGHTS_NAME
from nnunet_tf.inference.models.packaging import package
from nnunet_tf.inference.postprocessing.settings import Postprocessing, write_postprocessing
from nnunet_tf.inference.predictor import Predictor
from nnunet_tf.networks.build import build_network
from nnunet_tf.networks.settings import NetworkSettings
from tests.nnunet_tf.inference.samples import tiny_plan, write_untrained_model

FORMATS = [
    pytest.param(name, marks=pytest.mark.skipif(not is_installed(needs), reason=f"{needs} is not installed"))
    for name, needs in (("onnx", "onnxruntime"), ("openvino", "openvino"), ("savedmodel", "savedmodel"))
]
TWO = {"channels": ("T1", "CT"), "normalization": (
    Normalization(name="z_score"), Normalization(name="ct", low=-1.0, high=2.0, mean=0.1, std=0.7),
)}  # fmt: skip
REGIONS = (Region(name="all", classes=(1, 2), value=1), Region(name="inner", classes=(2,), value=2))
MODELS = {
    "folds": (tiny_plan(), NetworkSettings(), 2, Postprocessing(keep_largest_foreground=True, keep_largest=(4, 7))),
    "anisotropic, masked, two channels": (
        tiny_plan(
            **TWO,
            nonzero_mask=True,
            patch_size=(4, 8, 8),
            spacing=(4.0, 1.0, 0.8),
            axis_order=(1, 0, 2),
            topology=Topology(strides=((1, 1, 1), (1, 2, 2)), kernels=((1, 3, 3), (3, 3, 3)), features=(4, 4)),
        ),
        NetworkSettings(encoder="residual", norm="batch"),
        1,
        None,
    ),
    "regions": (
        tiny_plan(regions=REGIONS, spacing=(1.3, 0.7, 1.0), normalization=(Normalization(name="rescale_0_1"),)),
        NetworkSettings(norm="group"),
        1,
        Postprocessing(keep_largest=(2,)),
    ),
    "2D U-Net": (
        tiny_plan(2, spacing=(0.8, 0.9), normalization=(Normalization(name="rgb"),)),
        NetworkSettings(network="unet", width=2),
        1,
        None,
    ),
    "2D TinyUNet": (tiny_plan(2, patch_size=(8, 9)), NetworkSettings(network="tiny-unet", width=2), 1, None),
}
AFFINE = np.array([[1.0, 0, 0, 3], [0, 1.1, 0, -4], [0, 0, 1.7, 5], [0, 0, 0, 1]])


def write_models(home, plan, settings, folds, postprocessing):
    for fold in range(folds):
        folder = home / f"fold_{fold}"
        folder.mkdir(parents=True)
        keras.utils.set_random_seed(fold)
        network = build_network(plan.topology, plan.patch_size, len(plan.channels), plan.outputs, settings)
        for weight in network.trainable_variables:
            weight.assign_add(np.random.default_rng(fold).normal(0, 0.1, weight.shape))
        write_plan(folder, plan)
        write_model(folder / NETWORK_NAME, settings)
        network.save_weights(folder / WEIGHTS_NAME)
    if postprocessing:
        write_postprocessing(home, postprocessing)
    return home


@pytest.fixture(scope="module", params=MODELS)
def model(request, tmp_path_factory):
    home = tmp_path_factory.mktemp("models") / "task91"
    plan = MODELS[request.param][0]
    return write_models(home, *MODELS[request.param]), plan


def scan_of(plan):
    """Voxels `(i, j, k, channel)` of blobs, with zeros around and a hole in them."""
    random = np.random.default_rng(0)
    voxels = random.normal(1, 1, (19, 17, 13, len(plan.channels))).astype(np.float32)
    voxels = sum(np.roll(voxels, shift, axis) for axis in range(3) for shift in (0, 1))
    voxels[:2] = voxels[:, :, -3:] = 0
    voxels[8:10, 8, 5] = 0
    return voxels


def example_of(folder):
    spec = importlib.util.spec_from_file_location("example", folder / "example.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_the_example_gives_the_labels_of_prediction(model, kind, tmp_path):
    home, plan = model
    names = export(home, tmp_path / "exported", kind)
    assert {"README.md", "example.py", "preprocessing.json", "postprocessing.json"} < set(names)
    voxels = scan_of(plan)
    array = voxels if len(plan.channels) > 1 else voxels[..., 0]
    expected = Predictor(home, engine="tensorflow", device="cpu")(array, affine=AFFINE)
    found = example_of(tmp_path / "exported").predict(voxels.transpose(2, 1, 0, 3), [1.7, 1.1, 1.0])
    assert len(np.unique(expected)) > 1
    assert np.mean(found.transpose(2, 1, 0) != expected) < 1e-3  # ties


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_a_package_exports_as_its_folder_does(kind, tmp_path):
    home = write_models(tmp_path / "task91", *MODELS["folds"])
    package(home, tmp_path / "model.zip")
    for source, name in ((home, "one"), (tmp_path / "model.zip", "other")):
        export(source, tmp_path / name, kind, [1])
    for name in ("preprocessing.json", "postprocessing.json"):
        assert (tmp_path / "one" / name).read_text() == (tmp_path / "other" / name).read_text()
    assert len(json.loads((tmp_path / "one" / "postprocessing.json").read_text())["networks"]) == 1


@pytest.mark.skipif(not is_installed("onnxruntime"), reason="onnxruntime is not installed")
@pytest.mark.parametrize("name", MODELS)
def test_a_batch_of_any_size_gives_what_single_windows_give(name, tmp_path):
    import onnxruntime

    export(write_models(tmp_path / "task91", *MODELS[name]), tmp_path / "exported", "onnx")
    session = onnxruntime.InferenceSession(tmp_path / "exported" / "network_0.onnx")
    _, *shape = session.get_inputs()[0].shape
    windows = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    together = session.run(None, {"image": windows})[0]
    for index in range(3):
        np.testing.assert_allclose(
            session.run(None, {"image": windows[[index]]})[0][0], together[index], rtol=1e-4, atol=1e-4
        )


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    write_untrained_model(tmp_path / "fold_0", tiny_plan())
    target = tmp_path / "exported"
    target.mkdir()
    (target / "mine.txt").write_text("kept")
    with pytest.raises(UserError, match="exported"):
        export(tmp_path / "fold_0", target, "savedmodel")
    assert [path.name for path in target.iterdir()] == ["mine.txt"]


def test_a_failed_export_leaves_nothing(tmp_path):
    write_untrained_model(tmp_path / "fold_0", tiny_plan())
    (tmp_path / "fold_0" / WEIGHTS_NAME).write_bytes(b"damaged")
    with pytest.raises(UserError, match=WEIGHTS_NAME):
        export(tmp_path / "fold_0", tmp_path / "exported", "savedmodel")
    assert [path.name for path in tmp_path.iterdir()] == ["fold_0"]


WITHOUT_TENSORFLOW = """
import sys
for name in ("tensorflow", "keras", "sklearn", "matplotlib"):
    sys.modules[name] = None
import nibabel as nib
from nnunet_tf import Predictor
labels = Predictor(sys.argv[1])(nib.load(sys.argv[2]))
labels.to_filename(sys.argv[3])
"""


@pytest.mark.slow
@pytest.mark.skipif(not is_installed("openvino"), reason="openvino is not installed")
def test_a_package_predicts_where_tensorflow_is_not(tmp_path):
    home = write_models(tmp_path / "task91", *MODELS["folds"])
    package(home, tmp_path / "model.zip")
    voxels = scan_of(tiny_plan())[..., 0]
    nib.save(nib.Nifti1Image(voxels, AFFINE), tmp_path / "scan.nii.gz")
    words = [str(tmp_path / name) for name in ("model.zip", "scan.nii.gz", "labels.nii.gz")]
    subprocess.run([sys.executable, "-c", WITHOUT_TENSORFLOW, *words], check=True, timeout=300)
    expected = Predictor(home, engine="tensorflow", device="cpu")(voxels, affine=AFFINE)
    assert np.mean(np.asarray(nib.load(tmp_path / "labels.nii.gz").dataobj) != expected) < 1e-3
    assert len(np.unique(expected)) > 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_the_commands_export_and_the_example_runs_alone(kind, tmp_path):
    home = write_models(tmp_path / "task91", *MODELS["regions"])
    plan = MODELS["regions"][0]
    command = [sys.executable, "-m", "nnunet_tf.commands", "export", home, tmp_path / "exported", "--format", kind]
    subprocess.run(command, check=True, timeout=300)
    voxels = scan_of(plan)
    np.save(tmp_path / "scan.npy", voxels[..., 0].transpose(2, 1, 0))
    words = [tmp_path / "exported" / "example.py", tmp_path / "scan.npy", tmp_path / "labels.npy", "1.7", "1.1", "1.0"]
    subprocess.run([sys.executable, *words], check=True, timeout=300, cwd=tmp_path)
    expected = Predictor(home, engine="tensorflow", device="cpu")(voxels[..., 0], affine=AFFINE)
    assert np.mean(np.load(tmp_path / "labels.npy").transpose(2, 1, 0) != expected) < 1e-3
