"""Whole runs of the small networks, in this very process: train, stop, go on, predict, pack."""

from dataclasses import replace

import numpy as np
import pytest

from nnunet_tf.data.folds import Fold
from nnunet_tf.inference.predictor import Predictor
from nnunet_tf.networks.settings import NetworkSettings
from nnunet_tf.package import package
from nnunet_tf.runtime.device import Runtime
from nnunet_tf.training.curve import read_metrics
from nnunet_tf.training.distributed import Alone
from nnunet_tf.training.recipe import LossSettings, OptimizerSettings
from nnunet_tf.training.run import train
from nnunet_tf.training.settings import Job, TrainingSettings
from tests.nnunet_tf.data.samples import write_shard
from tests.nnunet_tf.inference.samples import tiny_plan

CASES = ("a", "b")

RUNS = {
    "unet": {"optimizer": "adam", "augmentation": "crops", "loss": "dice_ce"},
    "tiny-unet": {"optimizer": "rmsprop", "augmentation": "flips", "loss": "adaptive"},
}


def make_job(shards, folder, network, epochs):
    run = RUNS[network]
    settings = TrainingSettings(
        fold=0,
        folds=5,
        epochs=epochs,
        steps_per_epoch=2,
        batch_size=2,
        seed=0,
        amp=False,
        workers=1,
        network=NetworkSettings(network=network, width=2),
        loss=LossSettings(loss=run["loss"], batch_dice=True),
        optimizer=OptimizerSettings(
            optimizer=run["optimizer"], learning_rate=1e-2, scheduler="step", warmup_steps=0, ema=0.9
        ),
        augmentation=run["augmentation"],
    )
    folder.mkdir(exist_ok=True)
    return Job(shards, folder, tiny_plan(2, patch_size=(16, 16)), Fold(CASES, ()), settings)


def run(job, resume=False):
    return train(job, Alone(), Runtime(gpu=False, precision="float32"), resume, threads=1)


@pytest.fixture
def image(tmp_path):
    """What is in both shards."""
    random = np.random.default_rng(0)
    for name in CASES:
        image = random.normal(size=(1, 18, 20))
        write_shard(tmp_path, name, image, image > 1)
    return image


def test_a_unet_that_was_stopped_ends_with_the_weights_of_one_that_was_not(tmp_path, image):
    whole = make_job(tmp_path, tmp_path / "whole", "unet", epochs=2)
    run(whole)
    stopped = make_job(tmp_path, tmp_path / "stopped", "unet", epochs=1)
    run(stopped)
    run(replace(stopped, settings=whole.settings), resume=True)
    losses = [[each.loss for each in read_metrics(job.folder, 2)] for job in (whole, stopped)]
    assert losses[0] == losses[1]
    checkpoints = [np.load(job.folder / "checkpoint.npz") for job in (whole, stopped)]
    for name in checkpoints[0].files:  # dropout's random state among them
        np.testing.assert_array_equal(*(each[name] for each in checkpoints), err_msg=name)


def test_a_trained_tiny_unet_predicts_the_same_from_its_folder_and_its_package(tmp_path, image):
    job = make_job(tmp_path, tmp_path / "model", "tiny-unet", epochs=1)
    run(job)
    package(job.folder, tmp_path / "model.zip")
    predictors = [Predictor(path) for path in (job.folder, tmp_path / "model.zip")]
    from_folder, from_package = (predictor.logits(image[..., np.newaxis]) for predictor in predictors)
    assert from_folder.shape == (1, 18, 20, 3)
    np.testing.assert_array_equal(from_folder, from_package)
