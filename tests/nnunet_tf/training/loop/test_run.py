"""Whole runs of the small networks, in this very process: train, stop, go on, predict, pack."""

import json
from dataclasses import replace

import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.data.folds import Fold
from nnunet_tf.evaluation.summaries.validation_scores import read_validation
from nnunet_tf.inference.models.packaging import package
from nnunet_tf.inference.predictor import Predictor
from nnunet_tf.networks.settings import NetworkSettings
from nnunet_tf.runtime.device import Runtime
from nnunet_tf.training.config.loss_and_optimizer import LossSettings, OptimizerSettings
from nnunet_tf.training.config.resume import check_resume
from nnunet_tf.training.config.settings import Job, TrainingSettings
from nnunet_tf.training.distributed import Alone
from nnunet_tf.training.loop.run import Run, train
from nnunet_tf.training.monitoring.metrics import Best, read_metrics
from tests.nnunet_tf.data.samples import write_shard
from tests.nnunet_tf.inference.samples import tiny_plan

pytestmark = pytest.mark.slow
CASES = ("a", "b")

RUNS = {
    "unet": {"optimizer": "adam", "augmentation": "crops", "loss": "dice_ce"},
    "tiny-unet": {"optimizer": "rmsprop", "augmentation": "flips", "loss": "adaptive"},
}


def make_job(shards, folder, network, epochs, **changes):
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
    plan = tiny_plan(2, patch_size=(16, 16))
    return Job(shards, folder, plan, Fold(CASES, ()), settings.model_copy(update=changes))


def run(job, resume=False, group=Alone()):
    return train(job, group, Runtime(gpu=False, precision="float32"), resume, threads=1)


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


def before_epoch(monkeypatch, number, act):
    """Has `act(step, over)` called before and after the epoch `number`, told whether it is over."""
    from nnunet_tf.training.loop import run as module

    train_epoch = module.train_epoch

    def acting(step, batches, part, *arguments):
        if part.epoch == number:
            act(step, over=False)
        metrics = train_epoch(step, batches, part, *arguments)
        if part.epoch == number:
            act(step, over=True)
        return metrics

    monkeypatch.setattr(module, "train_epoch", acting)


KEPT = ("model.weights.h5", "last.weights.h5", "checkpoint.npz", "metrics.jsonl")


def contents(folder, names=KEPT):
    return {name: (folder / name).read_bytes() for name in names}


@pytest.mark.parametrize("ema", [None, 0.9])
def test_an_update_that_blows_up_with_a_finite_loss_leaves_the_last_good_epoch(tmp_path, image, monkeypatch, ema):
    job = make_job(tmp_path, tmp_path / "model", "tiny-unet", epochs=2)
    job = replace(job, settings=with_optimizer(job.settings, ema=ema))
    before = {}

    def blow_up(step, over):
        if over:
            weight = step.network.trainable_variables[-1]
            weight.assign(np.full(weight.shape, np.nan))
        else:
            before.update(contents(job.folder))

    with monkeypatch.context() as patched:
        before_epoch(patched, 1, blow_up)
        with pytest.raises(UserError, match=r"^epoch 2: the weights are no longer numbers; .*--learning-rate"):
            run(job)
    assert contents(job.folder) == before
    with pytest.raises(UserError, match=r"--learning-rate was 0.01, is 0.001"):
        check_resume(replace(job, settings=with_optimizer(job.settings, learning_rate=1e-3)))
    run(job, resume=True)
    assert [each.epoch for each in read_metrics(job.folder, 2)] == [0, 1]


def test_a_run_of_an_older_method_is_not_gone_on_with(tmp_path, image):
    job = make_job(tmp_path, tmp_path / "model", "unet", epochs=1)
    run(job)
    check_resume(job)
    path = job.folder / "training.json"
    stated = json.loads(path.read_text())
    for method in ({}, {"method": stated["method"] - 1}, {"method": stated["method"] + 1}):
        path.write_text(json.dumps({name: value for name, value in stated.items() if name != "method"} | method))
        with pytest.raises(UserError) as refused:
            check_resume(job)
        assert str(path) in str(refused.value)
        assert "--resume" in str(refused.value)


def with_optimizer(settings, **changes):
    return settings.model_copy(update={"optimizer": settings.optimizer.model_copy(update=changes)})


class Told(Alone):
    """A group that writes down what it is told."""

    def __init__(self, others=0.0):
        self.broadcasts, self.calls, self.others = [], [], others

    def broadcast(self, variables):
        self.calls.append("broadcast")
        self.broadcasts.append([np.array(variable) for variable in variables])

    def mean_gradients(self, gradients):
        self.calls.append("gradients")
        return super().mean_gradients(gradients)

    def sum(self, array):
        return array + self.others


def test_all_workers_start_from_the_whole_state_of_one(tmp_path, image):
    group = Told()
    job = make_job(tmp_path, tmp_path / "model", "unet", epochs=1)
    run(job, group=group)
    assert group.calls[:2] == ["broadcast", "gradients"]
    assert group.calls.count("broadcast") == 1
    state = [tuple(array.shape) for array in group.broadcasts[0]]
    with np.load(job.folder / "checkpoint.npz") as saved:
        numbers = [saved[name] for name in saved.files if name != "epochs_done" and saved[name].dtype != np.uint32]
    assert sorted(state) == sorted(each.shape for each in numbers)
    run(replace(job, settings=job.settings.model_copy(update={"epochs": 2})), resume=True, group=group)
    assert any(array.shape == () and array == 2 for array in group.broadcasts[1])  # what was loaded, steps done and all


def test_weights_that_are_no_numbers_in_another_worker_stop_this_one_too(tmp_path, image):
    job = make_job(tmp_path, tmp_path / "model", "unet", epochs=1)
    with pytest.raises(UserError, match="the weights are no longer numbers"):
        run(job, group=Told(others=1.0))
    assert not (job.folder / "checkpoint.npz").exists()


def test_the_average_starts_from_the_pretrained_weights(tmp_path, image):
    source = make_job(tmp_path, tmp_path / "source", "unet", epochs=1)
    run(source)
    job = make_job(tmp_path, tmp_path / "model", "unet", epochs=1, pretrained=str(source.folder), seed=1)
    model = Run(job, Alone(), Runtime(gpu=False, precision="float32"), resume=False, threads=1).model
    _, *averages = model.average.variables
    for average, weight in zip(averages, model.network.trainable_weights, strict=True):
        np.testing.assert_array_equal(average, weight)


OLDER = ("checkpoint.npz", "validation.json", "validation.png", "postprocessing.json", "tensorboard/events.out.older")


def test_a_run_that_starts_over_leaves_the_older_one_alone_until_its_first_epoch_is_saved(tmp_path, image, monkeypatch):
    job = make_job(tmp_path, tmp_path / "model", "unet", epochs=2)
    (job.folder / "tensorboard").mkdir()
    for name in OLDER:
        (job.folder / name).write_text("older")

    def look(there):
        def act(step, over):
            if not over:
                assert [name for name in OLDER if (job.folder / name).exists()] == there

        return act

    with monkeypatch.context() as patched:
        before_epoch(patched, 0, look([*OLDER]))
        before_epoch(patched, 1, look(["checkpoint.npz"]))
        run(job)
    assert [name for name in OLDER if (job.folder / name).exists()] == ["checkpoint.npz"]
    assert len(list((job.folder / "tensorboard").iterdir())) == 1
    for name in OLDER[1:]:
        (job.folder / name).write_text("of this run")
    run(replace(job, settings=job.settings.model_copy(update={"epochs": 3})), resume=True)
    assert all((job.folder / name).exists() for name in OLDER)


def test_a_run_stopped_in_its_first_save_cannot_go_on_from_the_older_one(tmp_path, image, monkeypatch):
    job = make_job(tmp_path, tmp_path / "model", "unet", epochs=1)
    run(job)

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("nnunet_tf.training.loop.run.save_checkpoint", stop)
    with pytest.raises(KeyboardInterrupt):
        run(job)
    with pytest.raises(UserError, match="nothing to resume"):
        check_resume(job)


def dice_of(weights, job, case):
    """The Dice by class of a case on the shards, by the weights of a file of the model folder."""
    checkpoint = "last" if weights.startswith("last") else "best"
    predictor = Predictor(job.folder, checkpoint=checkpoint)
    image, label = (np.load(job.shards / f"{case}_{kind}.npy") for kind in "xy")
    predicted = predictor.logits(image.astype(np.float32)).argmax(axis=-1)
    scores = {}
    for index, name in enumerate(job.plan.classes[1:], start=1):
        mask, truth = predicted == index, label[..., 0] == index
        total = mask.sum() + truth.sum()
        scores[name] = 2 * (mask & truth).sum() / total if total else None
    return scores


def test_the_scores_of_best_and_last_epoch_are_those_of_their_weights(tmp_path, image, monkeypatch):
    job = make_job(tmp_path, tmp_path / "model", "unet", epochs=2, validate_every=1)
    job = replace(job, fold=Fold(("a",), ("b",)), settings=with_optimizer(job.settings, ema=None))

    def call_everything_an_organ(step, over):
        if over:
            step.network.trainable_variables[-1].assign([0, 9, 0])

    def call_half_an_organ(step, over):
        if over:
            step.network.trainable_variables[-1].assign([0, 0, -9])

    before_epoch(monkeypatch, 0, call_everything_an_organ)
    before_epoch(monkeypatch, 1, call_half_an_organ)
    monkeypatch.setattr(
        "nnunet_tf.training.loop.run.Board.write", lambda *arguments: None
    )  # these shards have no records
    monkeypatch.setattr("nnunet_tf.training.loop.run.best_epoch", lambda history: Best(0, 1.0, len(history) - 1, 1.0))
    for epochs in (2, 3):  # the second goes on, and finds the best in the file
        returned = run(replace(job, settings=job.settings.model_copy(update={"epochs": epochs})), resume=epochs == 3)
        written = read_validation(job.folder, "train again")
        assert returned == written
        assert (written.epoch, written.last.epoch) == (0, epochs - 1)
        best = {each.name: each.mean_dice for each in written.classes}
        for weights, scores in (("model.weights.h5", best), ("last.weights.h5", written.last.classes)):
            assert scores == pytest.approx(dice_of(weights, job, "b"))
        assert best != written.last.classes
        assert written.last.mean_dice == read_metrics(job.folder, epochs)[-1].mean_dice
