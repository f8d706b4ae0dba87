"""Geometry of predictions, with a network that needs no training: bright voxels are the structure."""

import keras
import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.dataset import Case, load_dataset
from data_preprocessing.errors import UserError
from data_preprocessing.files import write_model
from data_preprocessing.phantom import Options, sample_case, write_case
from data_preprocessing.plan import Region, make_plan
from nnunet_tf.evaluation.dice import dice, overlap_counts
from nnunet_tf.inference.model_folder import NETWORK_NAME, WEIGHTS_NAME, read_model_plan
from nnunet_tf.inference.predictor import Predictor, load_network
from nnunet_tf.networks.settings import NetworkSettings

THRESHOLD = 2.4  # standard deviations above the mean: organ, not body


@keras.saving.register_keras_serializable(package="tests")
class Threshold(keras.layers.Layer):
    def call(self, image):
        organ = (keras.ops.mean(image, axis=-1, keepdims=True) - THRESHOLD) * 5
        return keras.ops.concatenate([keras.ops.zeros_like(organ), organ, organ - 100], axis=-1)


@pytest.fixture(params=[2, 3])
def plan(request, small_config, small_data):
    return make_plan(small_config, load_dataset(small_data, small_config.dataset), request.param)


@pytest.fixture
def predictor(plan):
    inputs = keras.Input((*plan.patch_size, 1))
    return Predictor(keras.Model(inputs, Threshold()(inputs)), plan, tta=True)


def predict(predictor, tmp_path, orientation, spacing=(1.5, 1.5, 1.5)):
    phantom = sample_case(0, Options(field_of_view_mm=60), orientation, spacing)
    image, label, output = tmp_path / "image.nii.gz", tmp_path / "label.nii.gz", tmp_path / "out.nii.gz"
    write_case(phantom, image, label)
    predictor.predict_file(Case("case", (image,)), output)
    return nib.load(image), nib.load(label), nib.load(output)


def organ_dice(label, output):
    return dice(overlap_counts(np.asarray(output.dataobj), (np.asarray(label.dataobj) == 1).astype(int), [1]))[0]


def test_every_orientation_overlays_its_own_image(predictor, tmp_path):
    scores = []
    for orientation in ("RAS", "LPS", "oblique"):
        _, label, output = predict(predictor, tmp_path, orientation)
        scores.append(organ_dice(label, output))
    assert min(scores) > 0.75
    assert max(scores) - min(scores) < 0.02


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.2, 1.2, 3.5), (4.0, 1.3, 1.1)])
def test_a_resampled_case_comes_back_onto_its_grid(predictor, tmp_path, spacing):
    image, label, output = predict(predictor, tmp_path, "LPS", spacing)
    assert output.shape == image.shape
    assert organ_dice(label, output) > 0.7


def test_a_prediction_has_the_geometry_of_its_image_and_an_integer_type(predictor, tmp_path):
    image, _, output = predict(predictor, tmp_path, "oblique")
    assert output.shape == image.shape
    np.testing.assert_array_equal(output.affine, image.affine)
    for form in ("get_sform", "get_qform"):
        (affine, code), (wanted, wanted_code) = (getattr(each, form)(coded=True) for each in (output, image))
        np.testing.assert_allclose(affine, wanted, atol=1e-6)
        assert code == wanted_code
    assert output.get_data_dtype() == np.uint8
    assert output.header.get_xyzt_units() == image.header.get_xyzt_units()


def test_a_network_of_regions_writes_their_values(plan, predictor, tmp_path):
    inputs = keras.Input((*plan.patch_size, 1))
    regions = Region(name="organ", classes=(1, 2), value=7), Region(name="lesion", classes=(2,), value=3)
    network = keras.Model(inputs, Threshold()(inputs)[..., 1:])  # the lesion is nowhere over 0
    of_regions = Predictor(network, plan.model_copy(update={"regions": regions}), tta=True)
    expected = np.asarray(predict(predictor, tmp_path, "LPS", (1.2, 1.2, 3.5))[2].dataobj)
    output = np.asarray(predict(of_regions, tmp_path, "LPS", (1.2, 1.2, 3.5))[2].dataobj)
    assert expected.any()
    np.testing.assert_array_equal(output, 7 * expected)


def test_a_volume_smaller_than_the_patch_is_predicted_at_its_own_size(predictor, tmp_path):
    path, output = tmp_path / "small.nii.gz", tmp_path / "out.nii.gz"
    nib.save(nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.diag([1.5, 1.5, 1.5, 1])), path)
    predictor.predict_file(Case("small", (path,)), output)
    assert nib.load(output).shape == (3, 4, 5)


def test_another_number_of_channels_is_refused_before_anything_is_written(predictor, tmp_path):
    path, output = tmp_path / "two.nii.gz", tmp_path / "out.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4, 2), np.int16), np.eye(4)), path)
    with pytest.raises(UserError, match=r"two.nii.gz: 2 channels where .* has 1"):
        predictor.predict_file(Case("two", (path,)), output)
    assert not output.exists()


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no trained model; train one with train.py"):
        read_model_plan(tmp_path / "nothing")


def test_damaged_weights_are_refused_by_name(tmp_path, plan):
    (tmp_path / WEIGHTS_NAME).write_bytes(b"\x89HDF\r\n\x1a\n cut off")
    with pytest.raises(UserError, match=f"{NETWORK_NAME}: no such file; train one"):
        load_network(tmp_path, plan)
    write_model(tmp_path / NETWORK_NAME, NetworkSettings())
    with pytest.raises(UserError, match=WEIGHTS_NAME):
        load_network(tmp_path, plan)
