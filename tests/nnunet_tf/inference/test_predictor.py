"""Geometry of predictions, with a network that needs no training: bright voxels are the structure."""

import nibabel as nib
import numpy as np
import pytest
import tensorflow as tf

import nnunet_tf
from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.dataset import load_dataset
from data_preprocessing.planning.plan import Region, make_plan
from data_preprocessing.synthetic.phantom import Options, sample_case, write_case
from nnunet_tf.evaluation.metrics.dice import dice, overlap_counts
from nnunet_tf.inference.predictor import Predictor
from tests.data_preprocessing.samples import LAYOUTS, LPS, OBLIQUE, RAS_SPACING, Layout, anatomy, save
from tests.nnunet_tf.inference.samples import threshold_network, tiny_plan

ORGAN = 4  # its number in files
HALF = 30.5  # of the voxels of `anatomy`


@pytest.fixture(params=[2, 3])
def plan(request, small_config, small_data):
    return make_plan(small_config, load_dataset(small_data, small_config.dataset), request.param)


@pytest.fixture
def predictor(plan):
    return Predictor.of_network(threshold_network(plan), plan, tta=True)


def predict(predictor, tmp_path, orientation, spacing=(1.5, 1.5, 1.5)):
    phantom = sample_case(0, Options(field_of_view_mm=60), orientation, spacing)
    image, label = tmp_path / "image.nii.gz", tmp_path / "label.nii.gz"
    write_case(phantom, image, label)
    return nib.load(image), nib.load(label), predictor(image)


def organ_dice(label, output):
    return dice(overlap_counts(np.asarray(output.dataobj), (np.asarray(label.dataobj) == 1).astype(int), [1]))[0]


@pytest.fixture(scope="module")
def exact():
    """Two predictors, 2D and 3D, that call every voxel over `HALF` organ, on a grid that needs no resampling."""
    plans = [tiny_plan(dim, spacing=RAS_SPACING[::-1][-dim:]) for dim in (2, 3)]
    return {plan.dim: Predictor.of_network(threshold_network(plan, HALF), plan) for plan in plans}


def bright(voxels):
    return np.where(voxels > HALF, ORGAN, 0)


# Onto the scan's own grid


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("oblique", [False, True])
def test_all_48_orientations_straight_and_oblique_come_back_voxel_by_voxel(tmp_path, exact, dim, oblique):
    for layout in LAYOUTS:
        turned = Layout(layout.axes, layout.signs, oblique)
        path = save(tmp_path / "scan.nii", turned.voxels(anatomy()), turned.affine())
        output = exact[dim](path)
        np.testing.assert_array_equal(np.asarray(output.dataobj), bright(turned.voxels(anatomy())), err_msg=str(turned))
        np.testing.assert_array_equal(output.affine, nib.load(path).affine, err_msg=str(turned))


@pytest.mark.parametrize("shape", [(4, 15), (4, 15, 1), (3, 4, 5, 1)])
def test_a_2d_image_and_one_time_point_keep_their_shape(tmp_path, exact, shape):
    path = save(tmp_path / "scan.nii.gz", anatomy(shape), np.diag([0.5, 1.5, 2.5, 1]))
    output = exact[2](path)
    assert output.shape == shape
    np.testing.assert_array_equal(np.asarray(output.dataobj), bright(anatomy(shape)))


def test_an_image_of_several_channels_gets_one_label(tmp_path):
    plan = tiny_plan(channels=("T1", "T2"), spacing=RAS_SPACING[::-1])
    predictor = Predictor.of_network(threshold_network(plan, HALF), plan)
    channels = np.stack([anatomy(), anatomy()], axis=-1)
    for layout in OBLIQUE:
        path = save(tmp_path / "scan.nii.gz", layout.voxels(channels), layout.affine())
        files = [save(tmp_path / f"part_000{n}.nii", layout.voxels(anatomy()), layout.affine()) for n in range(2)]
        for given in (path, files, files[0]):
            np.testing.assert_array_equal(np.asarray(predictor(given).dataobj), bright(layout.voxels(anatomy())))


def test_every_phantom_orientation_overlays_its_own_image(predictor, tmp_path):
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


def test_a_prediction_has_the_geometry_of_its_image_and_is_a_label_map(exact, tmp_path):
    image = nib.Nifti1Image(LPS.voxels(anatomy()), None)
    image.set_sform(LPS.affine(), code=2)
    image.set_qform(np.diag([-0.5, 1.5, 2.5, 1]), code=3)
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, tmp_path / "scan.nii.gz")
    with pytest.warns(UserWarning, match="qform differs"):
        exact[3](tmp_path / "scan.nii.gz").to_filename(tmp_path / "out.nii.gz")
    image, output = nib.load(tmp_path / "scan.nii.gz"), nib.load(tmp_path / "out.nii.gz")
    for form in ("get_sform", "get_qform"):
        (affine, code), (wanted, wanted_code) = (getattr(each, form)(coded=True) for each in (output, image))
        np.testing.assert_array_equal(affine, wanted)
        assert code == wanted_code
    assert output.header.get_xyzt_units() == ("mm", "sec")
    assert output.get_data_dtype() == np.uint8
    assert output.header["intent_code"] == 1002


def test_a_network_of_regions_writes_their_values(tmp_path):
    regions = Region(name="organ", classes=(1, 2), value=7), Region(name="lesion", classes=(2,), value=3)
    plan = tiny_plan(regions=regions, spacing=RAS_SPACING[::-1])
    network = threshold_network(plan, HALF)
    of_regions = type(network)(network.input, network.output[..., 1:])  # the lesion is nowhere over 0
    output = Predictor.of_network(of_regions, plan)(save(tmp_path / "scan.nii", anatomy()))
    np.testing.assert_array_equal(np.asarray(output.dataobj), np.where(anatomy() > HALF, 7, 0))


# From Python


def test_the_package_offers_it_by_its_name():
    assert nnunet_tf.Predictor is Predictor
    with pytest.raises(AttributeError, match="Predictors"):
        nnunet_tf.Predictors  # noqa: B018


def test_what_is_given_decides_what_comes_back(tmp_path, exact):
    voxels, affine = LPS.voxels(anatomy()), LPS.affine()
    path = save(tmp_path / "scan.nii.gz", voxels, affine)
    scaled = nib.Nifti1Image(voxels * 2.0 + 8, affine)
    scaled.header.set_data_dtype(np.int16)
    nib.save(scaled, tmp_path / "scaled.nii.gz")
    assert isinstance(exact[3](str(path)), nib.Nifti1Image)
    images = [nib.load(path), nib.Nifti1Image(voxels, affine), nib.Nifti2Image(voxels.astype(float), affine)]
    for image in [*images, nib.MGHImage(voxels.astype(np.float32), affine)]:
        output = exact[3](image)
        np.testing.assert_array_equal(np.asarray(output.dataobj), bright(voxels))
        np.testing.assert_allclose(output.affine, affine)
    for dtype in (np.int64, np.uint16, np.float64):
        labels = exact[3](voxels.astype(dtype), affine=affine)
        assert labels.dtype == np.uint8
        np.testing.assert_array_equal(labels, bright(voxels))
    np.testing.assert_array_equal(
        np.asarray(exact[3](nib.load(tmp_path / "scaled.nii.gz")).dataobj), bright(voxels * 2.0 + 8)
    )


def test_the_image_given_stays_as_it_was(exact):
    image = nib.Nifti1Image(anatomy().astype(np.float32), np.diag([*RAS_SPACING, 1]))
    voxels, header = np.array(image.dataobj), image.header.binaryblock
    voxels[0, 0, 0] = image.dataobj[0, 0, 0] = np.nan
    with pytest.warns(UserWarning, match="1 voxel is NaN or Inf"):
        exact[3](image)
    np.testing.assert_array_equal(image.dataobj, voxels)
    assert image.header.binaryblock == header


def test_what_cannot_be_predicted_is_refused_in_one_line(tmp_path, exact):
    save(tmp_path / "a.nii.gz", anatomy())
    save(tmp_path / "b.nii.gz", anatomy())
    two = save(tmp_path / "c" / "two.nii.gz", np.ones((4, 4, 4, 2), np.int16))
    for given, words in {
        tmp_path: "holds 2 scans",
        tmp_path / "nothing.nii": "no such file",
        two: r"two.nii.gz: 2 channels where .* has 1",
    }.items():
        with pytest.raises(UserError, match=words):
            exact[3](given)
    with pytest.raises(UserError, match="array: 2 channels"):
        exact[3](np.ones((4, 4, 4, 2)), affine=np.eye(4))
    with pytest.raises(UserError, match="affine: goes with a NumPy array"):
        exact[3](two, affine=np.eye(4))
    with pytest.raises(UserError, match="affine="):
        exact[3](anatomy())
    for affine in (np.zeros((4, 4)), np.diag([1, 1, np.nan, 1])):
        with pytest.raises(UserError, match="array: its affine is"):
            exact[3](anatomy(), affine=affine)
    with pytest.raises(UserError, match="complex"):
        exact[3](nib.Nifti1Image(anatomy().astype(complex), np.eye(4)))


def test_a_volume_smaller_than_the_patch_is_predicted_at_its_own_size(predictor):
    voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    assert predictor(voxels, affine=np.diag([1.5, 1.5, 1.5, 1])).shape == (3, 4, 5)


def test_a_device_without_memory_is_told_of_in_one_line(exact, monkeypatch):
    def exhausted(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(exact[3].ensemble, "predict", exhausted)
    with pytest.raises(UserError, match="no memory left for the windows; use --sw-batch-size 1"):
        exact[3](anatomy(), affine=np.eye(4))


@pytest.mark.parametrize(
    ("image", "words"),
    [(None, "image: is to be a path"), ([], "image: is to be"), (np.full((4, 4, 4), "a"), "array: holds")],
)
def test_what_is_no_scan_at_all_is_told(predictor, image, words):
    with pytest.raises(UserError, match=words):
        predictor(image, affine=np.eye(4) if isinstance(image, np.ndarray) else None)


def test_an_overlap_that_never_ends_is_refused():
    with pytest.raises(UserError, match=r"overlap 2: is to be a share"):
        Predictor("nowhere", overlap=2)
