"""What is timed: the step that train.py makes, or the forward pass of prediction, and the batches they take."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import keras
import tensorflow as tf

from data_preprocessing.common.defaults import FOLDS
from data_preprocessing.planning.plan import Plan
from nnunet_tf.benchmark.settings import BenchmarkSettings
from nnunet_tf.benchmark.subject import ShardFolder
from nnunet_tf.data.dali_dataset import Batch
from nnunet_tf.data.folds import Fold
from nnunet_tf.data.pipeline import TrainingBatches, Worker
from nnunet_tf.data.sampling.settings import BatchSettings
from nnunet_tf.networks.build import build_network
from nnunet_tf.training.config.loss_and_optimizer import LossSettings, OptimizerSettings
from nnunet_tf.training.config.settings import Job, TrainingSettings
from nnunet_tf.training.distributed import Group
from nnunet_tf.training.model.training_model import TrainedModel

SEED = 0


@dataclass(frozen=True)
class Workload:
    """`step` takes image float32 `(N, *input_size, C)` and class indices int32 `(N, *patch)`."""

    network: keras.Model
    step: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def make_workload(settings: BenchmarkSettings, plan: Plan, group: Group) -> Workload:
    """Returns the network of `plan` and what is to be timed, on the weights of rank 0."""
    keras.utils.set_random_seed(SEED)
    return (_training if settings.mode == "train" else _prediction)(settings, plan, group)


def synthetic_batches(settings: BenchmarkSettings) -> Iterator[Batch]:
    """Yields one batch of noise for ever, made once where the network computes."""
    seen = (settings.batch_size, *settings.network.input_size(settings.patch_size), settings.channels)
    shape = (settings.batch_size, *settings.patch_size)
    image = tf.random.stateless_normal(seen, seed=(SEED, 0))
    label = tf.random.stateless_uniform(shape, (SEED, 1), 0, settings.outputs, tf.int32)
    return repeat((image, label))


def shard_batches(
    settings: BenchmarkSettings, folder: ShardFolder, plan: Plan, group: Group, threads: int
) -> Iterator[Batch]:
    """Yields as many batches of patches as will be asked for, from the pipeline that train.py reads."""
    wanted = BatchSettings(
        batch_size=settings.batch_size,
        steps_per_epoch=settings.warmup_steps + settings.steps,
        seed=SEED,
        augmentation=settings.augmentation or "none",
        network=settings.network,
    )
    return TrainingBatches(
        folder.path,
        plan,
        folder.cases,
        wanted,
        worker=Worker(group.rank, group.size),
        threads=threads,
        gpu=settings.device == "gpu",
        epochs=range(1),
    ).epoch(0)


def _training(settings: BenchmarkSettings, plan: Plan, group: Group) -> Workload:
    job = Job(Path(), Path(), plan, Fold((), ()), _training_settings(settings, plan))  # nothing is read or written
    model = TrainedModel(job, group, loss_scaling=settings.precision == "mixed_float16")
    group.broadcast(model.tensors())
    return Workload(model.network, model.step)


def _training_settings(settings: BenchmarkSettings, plan: Plan) -> TrainingSettings:
    return TrainingSettings(
        fold="all",
        folds=FOLDS,
        epochs=1,
        steps_per_epoch=settings.warmup_steps + settings.steps,
        batch_size=settings.batch_size,
        seed=SEED,
        amp=settings.precision != "float32",
        workers=settings.workers,
        network=settings.network,
        loss=LossSettings(batch_dice=settings.dim == 2),
        optimizer=OptimizerSettings(learning_rate=plan.training.learning_rate),
        augmentation=settings.augmentation or "none",
        xla=settings.xla,
    )


def _prediction(settings: BenchmarkSettings, plan: Plan, group: Group) -> Workload:
    network = build_network(plan.topology, plan.patch_size, len(plan.channels), plan.outputs, settings.network)

    @tf.function(jit_compile=settings.xla)
    def forward(image: tf.Tensor) -> tf.Tensor:
        return network(image, training=False)

    return Workload(network, lambda image, label: forward(image))
