"""One measurement, from settings to report."""

import resource
from datetime import UTC, datetime

import keras
import numpy as np
import tensorflow as tf

from data_preprocessing.planning.plan import Plan
from nnunet_tf.benchmark.machine import describe_machine, versions
from nnunet_tf.benchmark.operations import step_work
from nnunet_tf.benchmark.rates import CPU_SIZES, GPU_SIZES, measure_rates
from nnunet_tf.benchmark.report import Report, Result, Roofline, latency
from nnunet_tf.benchmark.roofline import make_roofline
from nnunet_tf.benchmark.settings import BenchmarkSettings
from nnunet_tf.benchmark.subject import ShardFolder
from nnunet_tf.benchmark.timing import StepTimes, time_steps
from nnunet_tf.benchmark.workload import Workload, make_workload, shard_batches, synthetic_batches
from nnunet_tf.runtime.progress import track
from nnunet_tf.training.distributed import Group


def run_benchmark(
    settings: BenchmarkSettings, plan: Plan, folder: ShardFolder | None, group: Group, threads: int, roofline: bool
) -> Report:
    """Measures the network of `plan`, on patches of `folder` or, where that is None, on noise; returns the report.

    All processes of `group` measure, each on `threads` threads, and all return the same result; machine and roofline
    are their own.
    """
    workload = make_workload(settings, plan, group)
    batches = shard_batches(settings, folder, plan, group, threads) if folder else synthetic_batches(settings)
    total = settings.warmup_steps + settings.steps
    with track(f"Measuring {settings.mode} {plan.name}", total, "steps", show=group.rank == 0) as tracker:
        times = time_steps(
            workload.step,
            batches,
            settings.warmup_steps,
            settings.steps,
            synchronize=tf.test.experimental.sync_devices,
            told=tracker.update,
        )
    result = summarize(times, settings.batch_size, peak_memory(), peak_gpu_memory(), group)
    return Report(
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        settings=settings,
        machine=describe_machine(),
        versions=versions(),
        result=result,
        roofline=_roofline(settings, workload, float(np.mean(times.seconds))) if roofline else None,
    )


def summarize(times: StepTimes, batch_size: int, memory: int, gpu_memory: int | None, group: Group) -> Result:
    """Returns what the workers of `group` measured together; memory is in bytes, None where there is no GPU."""
    seconds, waits = _gather(times.seconds, group), _gather(times.loader_seconds, group)
    peaks = _gather(np.array([memory, gpu_memory or 0], np.float64), group).max(axis=0)
    return Result(
        images_per_second=float((times.seconds.size * batch_size / seconds.sum(axis=1)).sum()),
        latency_seconds=latency(seconds),
        loader_wait=float(waits.sum() / seconds.sum()),
        peak_memory_bytes=int(peaks[0]),
        peak_gpu_memory_bytes=None if gpu_memory is None else int(peaks[1]),
    )


def peak_memory() -> int:
    """Returns the largest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def peak_gpu_memory() -> int | None:
    """Returns the most bytes TensorFlow has had allocated on this process's GPU, None where it has none."""
    if not tf.config.get_visible_devices("GPU"):
        return None
    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])


def _gather(values: np.ndarray, group: Group) -> np.ndarray:
    """Returns `(workers, *values.shape)`."""
    table = np.zeros((group.size, *values.shape))
    table[group.rank] = values
    return group.sum(table)


def _roofline(settings: BenchmarkSettings, workload: Workload, seconds: float) -> Roofline:
    work = step_work(workload.network, settings.batch_size, training=settings.mode == "train")
    dtype = keras.mixed_precision.dtype_policy().compute_dtype
    rates = measure_rates(settings.dim, dtype, GPU_SIZES if settings.device == "gpu" else CPU_SIZES)
    return make_roofline(work, rates, seconds)
