"""The whole way of a volume through one or several networks, against NumPy and skimage."""

import itertools

import keras
import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.special import entr, expit, softmax
from skimage.transform import resize

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.task import StatedRegion
from data_preprocessing.images.volume_io import Volume
from data_preprocessing.planning.plan import make_plan
from data_preprocessing.shards.prepare import place, prepare_image
from nnunet_tf.inference.volume.ensemble import Ensemble, Member, Wanted, WindowOptions
from nnunet_tf.inference.windows.sliding_window import sliding_window
from tests.data_preprocessing.samples import make_config, make_dataset

MARGIN = (2, 3, 1)  # zeros around what is cropped to
LABELS = {0: "background", 1: "liver", 7: "spleen", 300: "kidney"}
REGIONS = {"both": StatedRegion(labels=(1, 7), value=3), "one": StatedRegion(labels=(7,), value=260)}


def make_volume(inside=(14, 17, 11), spacing=(1.0, 1.5, 1.2), margin=MARGIN) -> Volume:
    values = gaussian_filter(np.random.default_rng(0).normal(size=inside), 1.5) + 5
    array = np.pad(values.astype(np.float32), [(width, width) for width in margin])[..., np.newaxis]
    return Volume(array, spacing, nib.Nifti1Image(np.zeros(array.shape[2::-1], np.uint8), np.eye(4)))


def plan_of(dim=3, labels=LABELS, **changes):
    return make_plan(make_config(**changes), make_dataset(labels=labels), dim)


def network_of(plan, seed=0):
    """A random convolution, which windows, flips and spacings disturb."""
    keras.utils.set_random_seed(seed)
    layer = keras.layers.Conv3D if plan.dim == 3 else keras.layers.Conv2D
    inputs = keras.Input((*plan.patch_size, 1))
    return keras.Model(inputs, layer(plan.outputs, 3, padding="same", kernel_initializer="random_normal")(inputs) * 20)


def member_of(plan, folds=1):
    return Member(plan, tuple(network_of(plan, seed + plan.dim) for seed in range(folds)))


def passes(member, volume, overlap=0.5, tta_axes=()):
    """The logits `(outputs, D, H, W)` of each network and flip on the grid of the cropped scan."""
    plan = member.plan
    placement = place(volume, plan)
    prepared = prepare_image(volume, placement, plan)
    patch = plan.patch_size if plan.dim == 3 else (1, *plan.patch_size)
    axes = [plan.axis_order.index(axis) for axis in tta_axes]
    axes = [axis for axis in axes if axis >= 3 - plan.dim]
    flips = [flip for count in range(len(axes) + 1) for flip in itertools.combinations(axes, count)]
    for network, flip in itertools.product(member.networks, flips):

        def forward(patches, network=network, flip=flip):
            flipped = np.flip(patches, [axis + 1 for axis in flip])
            logits = network.predict_on_batch(flipped if plan.dim == 3 else flipped[:, 0])
            logits = logits if plan.dim == 3 else logits[:, np.newaxis]
            return np.moveaxis(np.flip(logits, [axis + 1 for axis in flip]), -1, 1)

        logits = sliding_window(prepared, patch, forward, plan.outputs, WindowOptions(overlap))
        channels = np.moveaxis(logits, -1, 0).astype(np.float64)
        yield np.stack(
            [resize(each, placement.cropped_shape, order=1, mode="edge", anti_aliasing=False) for each in channels]
        )


def in_whole(cropped, volume, plan, outside=0.0):
    """Values `(D, H, W)` of the cropped scan in network order, in the volume `(z, y, x)`."""
    whole = np.full(volume.array.shape[:3], outside, cropped.dtype)
    inside = tuple(slice(width, size - width) for width, size in zip(MARGIN, whole.shape, strict=True))
    whole[inside] = cropped.transpose(np.argsort(plan.axis_order))
    return whole


def assert_labels(labels, scores, volume, plan):
    """That `labels` are those of the highest score wherever rounding does not decide."""
    second, first = np.sort(scores, axis=0)[-2:]
    clear = in_whole((first - second > 1e-4).astype(np.float32), volume, plan, outside=1) > 0
    expected = in_whole(np.array(list(LABELS))[scores.argmax(axis=0)], volume, plan)
    assert clear.mean() > 0.98
    assert len(np.unique(expected)) == len(LABELS)
    np.testing.assert_array_equal(labels[clear], expected[clear])


@pytest.mark.parametrize("spacing", [(1.0, 1.5, 1.2), (1.3, 1.0, 1.1), (1.0, 1.2, 1.9)])
@pytest.mark.parametrize("dim", [2, 3])
def test_labels_are_those_of_the_logits_on_the_grid_of_the_scan(dim, spacing):
    volume, plan = make_volume(), plan_of(dim, spacing_3d=spacing)
    member = member_of(plan)
    (logits,) = passes(member, volume)
    prediction = Ensemble([member]).predict(volume)
    assert prediction.labels.dtype == np.uint16
    assert (prediction.probabilities, prediction.entropy, prediction.spread) == (None, None, None)
    assert_labels(prediction.labels, logits, volume, plan)


@pytest.mark.parametrize("tta_axes", [(), (0, 1, 2), (2,)])
@pytest.mark.parametrize("dim", [2, 3])
def test_folds_and_flips_average_logits(dim, tta_axes):
    volume, plan = make_volume(), plan_of(dim, spacing_3d=(1.0, 1.2, 1.9))
    member = member_of(plan, folds=2)
    logits = np.mean(list(passes(member, volume, tta_axes=tta_axes)), axis=0)
    assert_labels(Ensemble([member], tta_axes=tta_axes).predict(volume).labels, logits, volume, plan)


def test_members_average_probabilities_whatever_their_spacing_and_dimensions(tmp_path):
    volume = make_volume()
    plans = plan_of(3, spacing_3d=(1.0, 1.2, 1.9)), plan_of(2, spacing_3d=(1.0, 1.2, 1.9), spacing_2d=(1.4, 0.9))
    members = [member_of(plans[0], folds=2), member_of(plans[1])]
    expected = np.mean([softmax(np.mean(list(passes(each, volume)), axis=0), axis=0) for each in members], axis=0)
    prediction = Ensemble(members).predict(volume, Wanted(probabilities=tmp_path / "kept.npy"))
    assert_labels(prediction.labels, expected, volume, plans[0])
    for index in range(4):
        whole = in_whole(expected[index], volume, plans[0], outside=float(index == 0))
        np.testing.assert_allclose(prediction.probabilities[index] / 65535, whole, atol=2e-5)


def test_regions_write_the_last_one_over_the_threshold(tmp_path):
    volume, plan = make_volume(), plan_of(regions=REGIONS)
    member = member_of(plan)
    (logits,) = passes(member, volume)
    expected = np.where(logits[1] > 0, 260, np.where(logits[0] > 0, 3, 0))
    clear = in_whole((np.abs(logits).min(axis=0) > 1e-4).astype(np.float32), volume, plan, outside=1) > 0
    for wanted in (Wanted(), Wanted(tmp_path / "kept.npy")):
        prediction = Ensemble([member]).predict(volume, wanted)
        assert set(np.unique(prediction.labels)) == {0, 3, 260}
        np.testing.assert_array_equal(prediction.labels[clear], in_whole(expected, volume, plan)[clear])
    whole = in_whole(expit(logits[1]), volume, plan)
    np.testing.assert_allclose(prediction.probabilities[1] / 65535, whole, atol=2e-5)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_short_of_memory_the_prediction_is_the_same_from_bands(count, batch_size, tmp_path):
    volume = make_volume((20, 23, 9))
    plans = [plan_of(3, spacing_3d=(1.0, 1.2, 1.9)), plan_of(2, spacing_3d=(1.0, 1.2, 1.9))]
    members = [member_of(plan) for plan in plans[:count]]
    told, results = [], []
    for memory in (10**9, 70_000 * count):
        ensemble = Ensemble(members, WindowOptions(batch_size=batch_size, memory=memory))
        steps = []
        wanted = Wanted(tmp_path / f"{memory}.npy", uncertainty=True)
        results.append(ensemble.predict(volume, wanted, lambda *step, steps=steps: steps.append(step)))
        done, total = zip(*steps, strict=True)
        assert done == tuple(sorted(done))
        assert done[-1] == total[0] == total[-1]
        told.append(total[0])
    whole, banded = results
    assert told[1] > told[0]
    np.testing.assert_array_equal(banded.labels, whole.labels)
    np.testing.assert_allclose(banded.entropy, whole.entropy, atol=1e-5)
    np.testing.assert_allclose(banded.spread, whole.spread, atol=1e-5)
    assert np.abs(banded.probabilities.astype(int) - whole.probabilities).max() <= 1


def test_what_is_wanted_beside_the_labels_does_not_change_them(tmp_path):
    volume, plan = make_volume(), plan_of()
    ensemble = Ensemble([member_of(plan, folds=2)], tta_axes=(0, 1, 2))
    plain = ensemble.predict(volume).labels
    np.testing.assert_array_equal(ensemble.predict(volume, Wanted(tmp_path / "kept.npy", True)).labels, plain)


def plain_spread(shares, decided):
    """The deviation of the decided output's probability over all passes of all members, each member counting alike.

    `shares` is one array `(passes, outputs, D, H, W)` per member.
    """
    chosen = [np.take_along_axis(each, decided[np.newaxis, np.newaxis], axis=1)[:, 0] for each in shares]
    weights = np.concatenate([np.full(len(each), 1 / len(each) / len(chosen)) for each in chosen])
    values = np.concatenate(chosen)
    mean = np.einsum("p,pdhw->dhw", weights, values)
    return np.sqrt(np.einsum("p,pdhw->dhw", weights, (values - mean) ** 2))


@pytest.mark.parametrize("regions", [None, REGIONS])
@pytest.mark.parametrize(("folds", "tta_axes"), [((3, 2), (0, 1, 2)), ((3,), (1, 2)), ((1, 4), ()), ((2, 1, 1), (2,))])
def test_uncertainty_is_that_of_all_flips_folds_and_members(regions, folds, tta_axes):
    # One window on the scan's own grid: then blending and resampling change nothing.
    volume = make_volume((8, 8, 8), (1.0, 1.0, 1.0))
    plans = [plan_of(3, regions=regions), plan_of(2, regions=regions), plan_of(3, regions=regions)]
    members = [member_of(plan, count) for plan, count in zip(plans, folds, strict=False)]
    to_shares = expit if regions else lambda logits: softmax(logits, axis=0)
    logits = [np.array(list(passes(member, volume, tta_axes=tta_axes))) for member in members]
    mean = np.mean([to_shares(each.mean(axis=0)) for each in logits], axis=0)
    prediction = Ensemble(members, tta_axes=tta_axes).predict(volume, Wanted(uncertainty=True))
    entropy = (entr(mean) + (entr(1 - mean) if regions else 0)).sum(axis=0)
    np.testing.assert_allclose(prediction.entropy, in_whole(entropy, volume, members[0].plan), atol=1e-4)
    decided = mean.argmax(axis=0)
    if regions:
        decided = np.where(mean[1] > 0.5, 1, np.where(mean[0] > 0.5, 0, decided))
    spread = plain_spread([np.array([to_shares(each) for each in one]) for one in logits], decided)
    assert spread.max() > 0.1
    np.testing.assert_allclose(prediction.spread, in_whole(spread, volume, members[0].plan), atol=1e-4)


def test_the_spread_between_members_of_one_pass_is_exact_on_any_grid():
    volume = make_volume()
    plans = plan_of(3, spacing_3d=(1.0, 1.2, 1.9)), plan_of(2, spacing_3d=(1.0, 1.2, 1.9), spacing_2d=(1.4, 0.9))
    members = [member_of(plan) for plan in plans]
    shares = [np.array([softmax(each, axis=0) for each in passes(member, volume)]) for member in members]
    mean = np.mean([each[0] for each in shares], axis=0)
    second, first = np.sort(mean, axis=0)[-2:]
    spread = plain_spread(shares, mean.argmax(axis=0))
    clear = in_whole((first - second > 1e-4).astype(np.float32), volume, plans[0], outside=1) > 0
    prediction = Ensemble(members).predict(volume, Wanted(uncertainty=True))
    np.testing.assert_allclose(prediction.spread[clear], in_whole(spread, volume, plans[0])[clear], atol=1e-4)
    assert clear.mean() > 0.98
    assert spread.max() > 0.1


def test_one_network_without_flips_has_no_spread():
    prediction = Ensemble([member_of(plan_of())]).predict(make_volume(), Wanted(uncertainty=True))
    assert not prediction.spread.any()
    assert prediction.entropy.any()


def test_a_volume_of_zeros_and_one_smaller_than_the_patch_are_predicted_whole():
    plan = plan_of()
    for array in (np.zeros((3, 4, 5, 1), np.float32), np.arange(60, dtype=np.float32).reshape(3, 4, 5, 1)):
        volume = Volume(array, (1.0, 1.0, 1.0), nib.Nifti1Image(np.zeros((5, 4, 3), np.uint8), np.eye(4)))
        assert Ensemble([member_of(plan)]).predict(volume).labels.shape == (3, 4, 5)


def test_logits_of_a_prepared_image_are_those_of_the_first_member():
    volume, plan = make_volume(spacing=(1.0, 1.0, 1.0)), plan_of()
    member = member_of(plan, folds=2)
    prepared = prepare_image(volume, place(volume, plan), plan)
    expected = np.mean(list(passes(member, volume)), axis=0)
    np.testing.assert_allclose(Ensemble([member]).logits(prepared), np.moveaxis(expected, 0, -1), atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"labels": {0: "background", 1: "organ"}}, "label numbers"),
        ({"regions": REGIONS}, "regions"),
        ({"spacing_3d": (1.0, 1.0, 3.0)}, "order of the axes"),
    ],
)
def test_members_that_do_not_fit_together_are_refused(changes, what):
    with pytest.raises(UserError, match=f"task91_2d and task91_3d cannot predict together: they differ in the {what}"):
        Ensemble([Member(plan_of(), ()), Member(plan_of(2, **changes), ())])
