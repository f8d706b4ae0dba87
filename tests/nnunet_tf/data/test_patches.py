"""The pipeline as a whole: which steps it does, in which order, each with its own parameter and only where drawn."""

from dataclasses import dataclass

import numpy as np
import pytest
from nvidia.dali import Pipeline

from data_preprocessing.shards.format import image_path, label_path
from data_preprocessing.transforms.normalize import Normalization
from nnunet_tf.data.patches import ShardFiles, patch_pipeline
from nnunet_tf.data.pipeline import TrainingBatches
from nnunet_tf.data.sampling.settings import BatchSettings
from tests.nnunet_tf.data import oracles
from tests.nnunet_tf.data.samples import draw_always, many_channels, write_shard
from tests.nnunet_tf.inference.samples import tiny_plan

PATCH = (15, 13, 9)  # odd: the nearest voxel is never two
STEPS = ["warped", "noise", "blur", "brightness", "contrast", "coarse", "inverted_gamma", "gamma", "offset", "mirror"]
PLUMBING = {"Numpy", "Reshape", "Squeeze", "Cast", "Split", "Merge"}  # what a patch that draws nothing goes through
OF_A_CHANNEL = {"GaussianBlur", "Resize"}  # only for those channels of a patch that draw them


def plan_and_case(folder, dim, outside=None, **changes):
    """A plan of two channels, and a case as large as its patch; returns the plan and the case's image.

    The image is 0 where the mask `outside` is true.
    """
    plan = tiny_plan(dim, channels=("T1", "T2"), patch_size=PATCH[:dim], **changes)
    image = many_channels((*plan.patch_size, 2))
    if outside is not None:
        image[outside] = 0
    volume = image.reshape((*(1,) * (3 - dim), *image.shape))
    write_shard(folder, "case", volume, np.ones(volume.shape[:-1]))
    return plan, image


DRAWN = {
    "blur": np.array([[0.6, 0.8, 0.5], [1.0, 0.7, 0.9]]),
    "brightness": np.array([1.2, 0.9]),
    "contrast": np.array([0.8, 1.2]),
    "low_resolution": np.array([0.5, 0.75]),
    "inverted_gamma": np.array([0.75, 1.3]),
    "gamma": np.array([1.4, 0.8]),
    "offset": 0.15,
}


def changed_by_hand(image, plan):
    """What the steps make of an image with the parameters of `DRAWN`."""
    expected = oracles.blur(image.astype(float), DRAWN["blur"][:, -plan.dim :]) * DRAWN["brightness"]
    expected = oracles.change_contrast(expected, DRAWN["contrast"])
    sizes = np.round(DRAWN["low_resolution"][:, np.newaxis] * plan.patch_size)
    expected = oracles.lower_resolution(expected, sizes)
    expected = oracles.change_gamma(expected, DRAWN["inverted_gamma"], inverted=True)
    return oracles.change_gamma(expected, DRAWN["gamma"], inverted=False) + DRAWN["offset"]


@pytest.mark.parametrize("dim", [2, 3])
def test_intensities_are_those_of_the_steps_one_after_another(tmp_path, monkeypatch, dim):
    plan, image = plan_and_case(tmp_path, dim)
    draw_always(monkeypatch, **DRAWN)
    expected = changed_by_hand(image, plan)
    batches = TrainingBatches(tmp_path, plan, ["case"], BatchSettings(2, 1, 0, "full"), epochs=range(1))
    images, _ = next(batches.epoch(0))
    for changed in images:
        np.testing.assert_allclose(changed, expected, atol=1e-4)


Z_SCORE, PLAIN = Normalization(name="z_score"), Normalization(name="none")
MASKED = {"nonzero_mask": True, "normalization": (Z_SCORE, Z_SCORE)}


def beyond(shape):
    """The voxels of a patch outside a body that fills its first three quarters."""
    return (np.indices(shape) >= np.array(shape).reshape(-1, *[1] * len(shape)) * 3 / 4).any(axis=0)


def first_batch(folder, plan, augmentation="full"):
    settings = BatchSettings(4, 1, 0, augmentation)
    images, _ = next(TrainingBatches(folder, plan, ["case"], settings, epochs=range(1)).epoch(0))
    return images.numpy()


@pytest.mark.parametrize("dim", [2, 3])
def test_with_a_nonzero_mask_what_is_outside_the_body_is_0_at_the_end(tmp_path, monkeypatch, dim):
    outside = beyond(PATCH[:dim])
    plan, image = plan_and_case(tmp_path, dim, outside, **MASKED)
    mirror = np.arange(3) == 2
    draw_always(monkeypatch, mirror=mirror, **DRAWN)
    expected = np.where(outside[..., np.newaxis], 0, changed_by_hand(image, plan))
    for changed in first_batch(tmp_path, plan):
        np.testing.assert_allclose(changed, np.flip(expected, dim - 1), atol=1e-4)
        assert (changed[np.flip(outside, dim - 1)] == 0).all()


@pytest.mark.parametrize("dim", [2, 3])
def test_without_one_augmentation_reaches_everywhere(tmp_path, monkeypatch, dim):
    plan, image = plan_and_case(tmp_path, dim, beyond(PATCH[:dim]))
    draw_always(monkeypatch, **DRAWN)
    for changed in first_batch(tmp_path, plan):
        np.testing.assert_allclose(changed, changed_by_hand(image, plan), atol=1e-4)
        assert (changed != 0).all()


@pytest.mark.parametrize("dim", [2, 3])
def test_the_body_is_that_of_the_turned_and_scaled_patch(tmp_path, monkeypatch, dim):
    plan, _ = plan_and_case(tmp_path, dim, beyond(PATCH[:dim]), **MASKED)
    turned = {"rotation": np.array([0.5, 0, 0]), "scale": 0.9}
    draw_always(monkeypatch, **turned)
    body = (first_batch(tmp_path, plan) != 0).any(axis=-1)
    assert 0.2 < body.mean() < 0.9
    draw_always(monkeypatch, **turned, noise=0.1, **DRAWN)
    np.testing.assert_array_equal((first_batch(tmp_path, plan) != 0).all(axis=-1), body)


def test_only_channels_normalised_within_the_mask_are_0_outside(tmp_path, monkeypatch):
    outside = beyond(PATCH)
    plan, image = plan_and_case(tmp_path, 3, outside, nonzero_mask=True, normalization=(Z_SCORE, PLAIN))
    draw_always(monkeypatch, **DRAWN)
    expected = changed_by_hand(image, plan)
    expected[..., 0][outside] = 0
    for changed in first_batch(tmp_path, plan):
        np.testing.assert_allclose(changed, expected, atol=1e-4)


@pytest.mark.parametrize("augmentation", ["none", "basic", "full"])
def test_every_augmentation_leaves_what_is_outside_the_body_at_0(tmp_path, augmentation):
    plan, _ = plan_and_case(tmp_path, 2, np.ones(PATCH[:2], bool), **MASKED)
    settings = BatchSettings(50, 1, 0, augmentation)
    images, _ = next(TrainingBatches(tmp_path, plan, ["case"], settings, epochs=range(1)).epoch(0))
    assert not images.numpy().any()


@dataclass(frozen=True)
class Operator:
    """An operator that voxels go through; `conditions` is how many conditions it is done under."""

    kind: str
    conditions: int


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("changes", [{}, MASKED], ids=["whole", "masked"])
def test_every_step_is_in_its_place_and_done_only_where_drawn(tmp_path, dim, changes):
    pipeline = built_pipeline(tmp_path, dim, changes)
    assert order_of_steps(pipeline) == [*STEPS[:-1], *(["changed"] if changes else []), STEPS[-1]]
    operators = voxel_operators(pipeline)
    assert {each.kind for each in operators if each.conditions == 0} <= PLUMBING
    assert {each.kind for each in operators} >= OF_A_CHANNEL
    assert {each.kind for each in operators if each.conditions < 2}.isdisjoint(OF_A_CHANNEL)


def built_pipeline(folder, dim, changes):
    plan, _ = plan_and_case(folder, dim, **changes)
    files = ShardFiles([str(image_path(folder, "case"))], [str(label_path(folder, "case"))], True, plan.patch_size)
    pipeline = patch_pipeline(
        files=files, plan=plan, noise_seed=0, gpu=False, batch_size=1, num_threads=1, device_id=None
    )
    pipeline.build()
    return pipeline


def voxel_operators(pipeline: Pipeline) -> list[Operator]:
    """The operators that get voxels, as DALI built them: a condition is a Split before and a Merge behind."""
    conditions: dict[str, int] = {}  # of what comes out of an operator
    voxels: set[str] = set()
    found = []
    for operator in pipeline._ops:
        inputs = [each.name for each in operator.inputs]
        # A Merge is done under those conditions that its own one, the last input, is found under.
        count = max((conditions[name] for name in (inputs[-1:] if kind(operator) == "Merge" else inputs)), default=0)
        for branch, output in enumerate(operator.outputs):
            conditions[output.name] = count + (kind(operator) == "Split" and branch == 0)
        if kind(operator) == "Numpy" or voxels.intersection(inputs):
            voxels.update(output.name for output in operator.outputs)
            found.append(Operator(kind(operator), count))
    return found


def order_of_steps(pipeline: Pipeline) -> list[str]:
    """The drawn inputs that decide about the image, from the reader on."""
    names: list[str] = []
    operator = pipeline._graph_outputs[0].source
    while kind(operator) != "Numpy":
        before, condition = operator.inputs[0], operator.inputs[-1]
        if kind(operator) == "Merge":
            while condition.source.inputs:
                condition = condition.source.inputs[0]
            names.append(condition.source.name)
            before = operator.inputs[1].source.inputs[0]  # what the Split got
        operator = before.source
    return names[::-1]


def kind(operator):
    """`GaussianBlur` for an operator that DALI named `__GaussianBlur_42`."""
    return operator.name.strip("_").rsplit("_", 1)[0]
