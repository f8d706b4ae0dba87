"""Shards to training batches: a DALI pipeline that applies what was drawn, as a `tf.data` dataset."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from data_preprocessing.common.errors import UserError
from data_preprocessing.planning.plan import Plan
from data_preprocessing.shards.format import image_path, label_path
from nnunet_tf.data.dali_dataset import Batch, has_plugin, numpy_batches, plugin_batches
from nnunet_tf.data.patches import ShardFiles, input_names, patch_pipeline
from nnunet_tf.data.sampling.epoch_samples import draw_epoch
from nnunet_tf.data.sampling.settings import BatchSettings
from nnunet_tf.data.sampling.shard_index import read_volumes


@dataclass(frozen=True)
class Worker:
    """Which of `count` training processes this is; each gets its own share of every global batch."""

    rank: int = 0
    count: int = 1


class TrainingBatches:
    """The batches that one worker trains on, epoch by epoch.

    The same seed and size of the global batch give the same global batches with any number of workers (but for the
    voxels of the noise, which are each worker's own); an epoch does not depend on those before it. With `gpu` volumes
    are read by the CPU and augmented on the GPU. Of all but the last of `epochs` the end overlaps with the next's
    first batches. Raises UserError where `settings.volumes` does not fit.
    """

    def __init__(
        self,
        shards: Path,
        plan: Plan,
        cases: Sequence[str],
        settings: BatchSettings,
        worker: Worker = Worker(),
        threads: int = 2,
        gpu: bool = False,
        *,
        epochs: range,
    ) -> None:
        _check_volumes(plan, len(cases), settings, worker)
        self.volumes = read_volumes(shards, cases)
        self.images, self.labels = (
            [str(path(shards, name)) for name in self.volumes.names] for path in (image_path, label_path)
        )
        self.plan, self.settings, self.worker = plan, settings, worker
        self.threads, self.gpu, self.epochs = threads, gpu, epochs
        self.input_size = settings.network.input_size(plan.patch_size)
        self._begun: dict[int, Iterator[Batch]] = {}

    def epoch(self, number: int, first_step: int = 0) -> Iterator[Batch]:
        """Yields the `steps_per_epoch` batches of epoch `number`, from `first_step` on: image float32
        `(N, *input_size, C)`, label int32 `(N, *patch)`.

        Every third patch of a run is centred on a foreground voxel; the others lie anywhere in the volume. Volumes
        smaller than the patch are padded with 0; where `settings.network` sees more than the patch, with their mirror
        image.
        """
        batches = self._begun.pop(number, None) or self._begin(number, first_step)
        for step in range(first_step, self.settings.steps_per_epoch):
            batch = next(batches)
            if step + 1 == self.settings.steps_per_epoch and number + 1 in self.epochs:
                self._begun = {number + 1: self._begin(number + 1)}
            yield batch

    def _begin(self, number: int, first_step: int = 0) -> Iterator[Batch]:
        settings, plan, worker = self.settings, self.plan, self.worker
        draws = draw_epoch(self.volumes, plan, settings, worker.count, number)
        draws = draws.share(worker.rank, worker.count).rest(first_step)
        images, labels = ([paths[case] for case in draws.case.flat] for paths in (self.images, self.labels))
        gpu = _gpu_number() if self.gpu else None
        plugin = has_plugin()
        pipeline = patch_pipeline(
            files=ShardFiles(images, labels, settings.read_roi is not False, self.input_size),
            plan=plan,
            noise_seed=int(np.random.SeedSequence((settings.seed, number, worker.rank)).generate_state(1)[0]),
            gpu=self.gpu,
            batch_size=settings.batch_size,
            num_threads=self.threads,
            device_id=gpu,
            prefetch_queue_depth=2 if plugin else 1,  # what is fed a batch at a time is not read ahead
        )
        inputs = {name: getattr(draws, name) for name in input_names(plan, self.input_size)}
        seen, patch = ((settings.batch_size, *size) for size in (self.input_size, plan.patch_size))
        shapes = (*seen, len(plan.channels)), patch
        if plugin:
            return plugin_batches(pipeline, inputs, shapes, settings.batch_size, self.threads, gpu)
        return numpy_batches(pipeline, inputs, shapes)


def _gpu_number() -> int:
    """CUDA's number of the one GPU that this process sees as TensorFlow's /gpu:0."""
    return int(tf.config.get_visible_devices("GPU")[0].name.rsplit(":", 1)[1])


def _check_volumes(plan: Plan, cases: int, settings: BatchSettings, worker: Worker) -> None:
    if settings.volumes is None:
        return
    if plan.dim == 3:
        raise UserError(f"--nvol {settings.volumes}: the patches of a 3D batch are volumes of their own; leave it out")
    most = min(settings.batch_size, cases // worker.count)
    if settings.volumes > most:
        raise UserError(
            f"--nvol {settings.volumes}: a batch of {settings.batch_size} slices from {cases} cases on "
            f"{worker.count} workers can hold at most {most} different volumes; give that or less"
        )
