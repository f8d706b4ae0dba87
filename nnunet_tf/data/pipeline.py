"""Shards to training batches: a DALI pipeline as a `tf.data` dataset."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import nvidia.dali.plugin.tf as dali_tf
import tensorflow as tf
from nvidia.dali import fn, pipeline_def, types
from nvidia.dali import math as dali_math
from nvidia.dali.data_node import DataNode

from data_preprocessing.plan import Plan
from data_preprocessing.shards import foreground_path, image_path, label_path
from nnunet_tf.data.augmentation import Augmentation, augment

FOREGROUND_SHARE = 0.33  # of a batch's patches, those centred on a foreground voxel (nnU-Net, Nature Methods 2021)


@dataclass(frozen=True)
class Worker:
    """Which of `count` training processes this is; each reads its own part of the cases."""

    rank: int = 0
    count: int = 1


def training_batches(
    shards: Path,
    plan: Plan,
    cases: Sequence[str],
    batch_size: int,
    seed: int,
    augmentation: Augmentation = "basic",
    worker: Worker = Worker(),
    threads: int = 2,
) -> tf.data.Dataset:
    """Returns an endless dataset of `(image, label)` batches on the CPU.

    Image float32 `(N, *patch_size, C)`, label int32 `(N, *patch_size)`. The same seed and worker give the same batches.
    A third of each batch, at least one patch, is centred on a foreground voxel; the others lie anywhere in the volume.
    Volumes smaller than the patch are padded with 0.
    """
    order = np.random.default_rng(seed).permutation(sorted(cases)).tolist()
    pipeline = _patches(
        shards=shards,
        plan=plan,
        cases=order,
        forced=max(1, math.floor(batch_size * FOREGROUND_SHARE)),
        augmentation=augmentation,
        worker=worker,
        batch_size=batch_size,
        num_threads=threads,
        device_id=None,
        seed=seed * worker.count + worker.rank,
    )
    shape = (batch_size, *plan.patch_size)
    with tf.device("/cpu:0"):
        return dali_tf.DALIDataset(
            pipeline=pipeline,
            batch_size=batch_size,
            output_shapes=((*shape, len(plan.channels)), shape),
            output_dtypes=(tf.float32, tf.int32),
            num_threads=threads,
            device_id=None,
        )


@pipeline_def(enable_conditionals=True)
def _patches(
    shards: Path, plan: Plan, cases: list[str], forced: int, augmentation: Augmentation, worker: Worker
) -> tuple[DataNode, DataNode]:
    # Readers with the same file order and the same shuffling stay in step.
    image, label, foreground = (
        fn.readers.numpy(
            files=[str(path(shards, case)) for case in cases],
            shuffle_after_epoch=True,
            shard_id=worker.rank,
            num_shards=worker.count,
        )
        for path in (image_path, label_path, foreground_path)
    )
    patch = (1, *plan.patch_size) if plan.dim == 2 else plan.patch_size
    start = _patch_start(image.shape()[:3], np.array(patch, np.int32), foreground, forced)
    image, label = (
        fn.reshape(
            fn.slice(volume, start, patch, axes=(0, 1, 2), out_of_bounds_policy="pad", fill_values=0), layout="DHWC"
        )
        for volume in (image, label)
    )
    image = fn.cast(image, dtype=types.FLOAT)  # shards may be float16
    if augmentation != "none":
        image, label = augment(image, label, plan.dim)
    image_shape = (*plan.patch_size, len(plan.channels))
    return fn.reshape(image, shape=image_shape), fn.cast(fn.reshape(label, shape=plan.patch_size), dtype=types.INT32)


def _patch_start(shape: DataNode, patch: np.ndarray, foreground: DataNode, forced: int) -> DataNode:
    """First voxel of the patch in a volume of `shape`; negative where a smaller volume gets padded, centred."""
    margin = fn.cast(shape, dtype=types.INT32) - patch
    lowest = -(dali_math.max(-margin, 0) // 2)
    highest = lowest + dali_math.max(margin, 0)
    anywhere = lowest + _integers_below(highest - lowest + 1, count=3)
    row = _integers_below(fn.cast(foreground.shape()[0], dtype=types.INT32), count=1)
    voxel = foreground[row[0]]
    centred = dali_math.clamp(voxel - patch // 2, lowest, highest)
    # A permutation of the batch: exactly `forced` samples of each batch fall under it.
    if fn.batch_permutation() < forced and voxel[0] >= 0:
        start = centred
    else:
        start = anywhere
    return start


def _integers_below(limits: DataNode, count: int) -> DataNode:
    """`count` uniform integers from 0 to below each of `limits`."""
    uniform = fn.random.uniform(range=(0.0, 1.0), shape=count, dtype=types.FLOAT64)
    drawn = fn.cast(dali_math.floor(uniform * limits), dtype=types.INT32)
    return dali_math.min(drawn, limits - 1)
