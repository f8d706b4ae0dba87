"""The pipeline as a whole: which steps it does, in which order, each with its own parameter and only where drawn."""

from dataclasses import dataclass

import numpy as np
import pytest
from nvidia.dali import Pipeline

from data_preprocessing.shards import image_path, label_path
from nnunet_tf.data.patches import ShardFiles, patch_pipeline
from nnunet_tf.data.pipeline import TrainingBatches
from nnunet_tf.data.settings import BatchSettings
from tests.nnunet_tf.data import oracles
from tests.nnunet_tf.data.samples import draw_always, many_channels, write_shard
from tests.nnunet_tf.inference.samples import tiny_plan

PATCH = (15, 13, 9)  # odd: the nearest voxel is never two
STEPS = ["warped", "noise", "blur", "brightness", "contrast", "coarse", "inverted_gamma", "gamma", "offset", "mirror"]
PLUMBING = {"Numpy", "Reshape", "Squeeze", "Cast", "Split", "Merge"}  # what a patch that draws nothing goes through
OF_A_CHANNEL = {"GaussianBlur", "Resize"}  # only for those channels of a patch that draw them


def plan_and_case(folder, dim):
    """A plan of two channels, and a case as large as its patch; returns the plan and the case's image."""
    plan = tiny_plan(dim, channels=("T1", "T2"), patch_size=PATCH[:dim])
    image = many_channels((*plan.patch_size, 2))
    volume = image.reshape((*(1,) * (3 - dim), *image.shape))
    write_shard(folder, "case", volume, np.ones(volume.shape[:-1]))
    return plan, image


@pytest.mark.parametrize("dim", [2, 3])
def test_intensities_are_those_of_the_steps_one_after_another(tmp_path, monkeypatch, dim):
    plan, image = plan_and_case(tmp_path, dim)
    sigma, resolution = np.array([0.6, 1.0]), np.array([0.5, 0.75])
    draw_always(
        monkeypatch,
        blur=sigma,
        brightness=1.2,
        contrast=0.8,
        low_resolution=resolution,
        inverted_gamma=0.75,
        gamma=1.4,
        offset=0.15,
    )
    expected = oracles.blur(image.astype(float), sigma) * 1.2
    expected = oracles.change_contrast(expected, 0.8)
    expected = oracles.lower_resolution(expected, np.round(resolution[:, np.newaxis] * plan.patch_size))
    expected = oracles.change_gamma(expected, 0.75, inverted=True)
    expected = oracles.change_gamma(expected, 1.4, inverted=False) + 0.15
    batches = TrainingBatches(tmp_path, plan, ["case"], BatchSettings(2, 1, 0, "full"), epochs=range(1))
    images, _ = next(batches.epoch(0))
    for changed in images:
        np.testing.assert_allclose(changed, expected, atol=1e-4)


@dataclass(frozen=True)
class Operator:
    """An operator that voxels go through; `conditions` is how many conditions it is done under."""

    kind: str
    conditions: int


@pytest.mark.parametrize("dim", [2, 3])
def test_every_step_is_in_its_place_and_done_only_where_drawn(tmp_path, dim):
    pipeline = built_pipeline(tmp_path, dim)
    assert order_of_steps(pipeline) == STEPS
    operators = voxel_operators(pipeline)
    assert {each.kind for each in operators if each.conditions == 0} <= PLUMBING
    assert {each.kind for each in operators} >= OF_A_CHANNEL
    assert {each.kind for each in operators if each.conditions < 2}.isdisjoint(OF_A_CHANNEL)


def built_pipeline(folder, dim):
    plan, _ = plan_and_case(folder, dim)
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
