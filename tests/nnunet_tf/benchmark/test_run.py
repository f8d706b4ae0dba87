import numpy as np
import pytest

from data_preprocessing.shards.format import open_shards
from nnunet_tf.benchmark.operations import CONVOLUTIONS, TRANSPOSED, step_work
from nnunet_tf.benchmark.run import run_benchmark, summarize
from nnunet_tf.benchmark.subject import ShardFolder, synthetic_plan
from nnunet_tf.benchmark.timing import StepTimes
from nnunet_tf.benchmark.workload import make_workload, synthetic_batches
from nnunet_tf.data.folds import split
from nnunet_tf.networks.settings import NetworkSettings
from nnunet_tf.training.distributed import Alone
from tests.nnunet_tf.benchmark.samples import make_settings


class Pair:
    """Rank 1 of two workers, of which the other has measured `theirs`, in the order that it is asked for."""

    rank, size = 1, 2

    def __init__(self, *theirs):
        self.theirs = list(theirs)

    def sum(self, array):
        array = array.copy()
        array[0] = self.theirs.pop(0)
        return array


def test_throughput_adds_up_over_workers_and_the_largest_memory_counts():
    others = Pair([1.0, 3.0], [0.5, 0.5], [7000, 10])
    times = StepTimes(np.array([4.0, 4.0]), np.array([0.0, 2.0]))
    result = summarize(times, batch_size=6, memory=5000, gpu_memory=20, group=others)
    assert result.images_per_second == pytest.approx(6 * 2 / 4 + 6 * 2 / 8)
    assert result.latency_seconds.mean == pytest.approx(3.0)
    assert result.loader_wait == pytest.approx(3 / 12)
    assert (result.peak_memory_bytes, result.peak_gpu_memory_bytes) == (7000, 20)


def test_without_a_gpu_there_is_no_memory_of_one():
    result = summarize(StepTimes(np.ones(2), np.zeros(2)), 1, 5000, None, Alone())
    assert result.peak_gpu_memory_bytes is None


@pytest.fixture(params=[2, 3])
def plan(request, small_config):
    return synthetic_plan(small_config, request.param, channels=1, classes=3)


def settings_of(plan, mode, **changed):
    network = NetworkSettings(deep_supervision=mode == "train")
    own = {"dim": plan.dim, "patch_size": plan.patch_size, "outputs": plan.outputs, "network": network}
    return make_settings(mode=mode, **own, **changed)


@pytest.mark.slow
def test_training_trains(plan):
    settings = settings_of(plan, "train")
    workload = make_workload(settings, plan, Alone())
    batch = next(synthetic_batches(settings))
    losses = [float(workload.step(*batch)) for _ in range(8)]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_prediction_is_the_full_resolution_logits_and_leaves_the_weights(plan):
    settings = settings_of(plan, "predict")
    workload = make_workload(settings, plan, Alone())
    image, label = next(synthetic_batches(settings))
    before = [np.array(weight) for weight in workload.network.weights]
    logits = workload.step(image, label)
    assert logits.shape == (2, *plan.patch_size, 3)
    np.testing.assert_allclose(logits, workload.network.predict_on_batch(image), atol=1e-5)
    for weight, old in zip(workload.network.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["train", "predict"])
def test_real_patches_are_measured_and_waited_for(mode, small_shards):
    path = small_shards / "task90_3d"
    plan, manifest = open_shards(path, "preprocess")
    augmentation = "full" if mode == "train" else "none"
    settings = settings_of(plan, mode, data="shards", augmentation=augmentation, channels=len(plan.channels))
    folder = ShardFolder(path, plan, split(manifest.cases, "all").training)
    report = run_benchmark(settings, plan, folder, Alone(), threads=1, roofline=False)
    assert report.result.images_per_second > 0
    assert 0 < report.result.loader_wait < 1
    assert report.roofline is None


@pytest.mark.slow
@pytest.mark.parametrize("network", ["unet", "tiny-unet"])
def test_the_other_networks_are_measured_too(small_config, network):
    plan = synthetic_plan(small_config, 2, channels=1, classes=3)
    own = {"dim": 2, "patch_size": plan.patch_size, "outputs": plan.outputs}
    settings = make_settings(mode="predict", network=NetworkSettings(network=network, width=2), **own)
    workload = make_workload(settings, plan, Alone())
    image, label = next(synthetic_batches(settings))
    assert label.shape == (2, *plan.patch_size)
    assert workload.step(image, label).shape == (2, *plan.patch_size, 3)
    work = step_work(workload.network, 2, training=True)
    convolutions = sum(isinstance(layer, CONVOLUTIONS + TRANSPOSED) for layer in workload.network.layers)
    assert sum(each.kind == "convolution" for each in work) == 3 * convolutions
    assert all(each.bytes > 0 for each in work)
