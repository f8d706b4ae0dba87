"""What the all-reduce of the gradients costs, without any training: python -m scripts.benchmarks.communication

The gradients of the 3D network of task 01 (features 32 to 320) with deep supervision, on processes of this machine that
talk through Gloo, with and without --fp16-allreduce. Bytes are those that each worker sends in a ring all-reduce,
2 (n - 1) / n times the gradients'.
"""

import argparse
import time

import numpy as np

from data_preprocessing.common.machine import available_cores
from nnunet_tf.launch.horovod.workers import Launch, start
from nnunet_tf.launch.ranks import local_size, started_by_launcher
from scripts.benchmarks.machine import print_machine

MEBIBYTE = 2**20


def main() -> None:
    """Prints a table, a line for each number of workers and each width of the numbers sent."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--features", type=int, nargs="+", help="a level; else those of task 01")
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    if started_by_launcher():
        measure(options)
        return
    print("workers  sent as  gradients MiB  sent MiB  median s     MiB/s", flush=True)
    features = ["--features", *map(str, options.features)] if options.features else []
    command = ["-m", "scripts.benchmarks.communication", "--steps", str(options.steps), *features]
    for workers in options.workers:
        start(Launch(workers=workers), command)


def measure(options: argparse.Namespace) -> None:
    """Prints the lines of this group, on rank 0."""
    from nnunet_tf.runtime.device import start_tensorflow

    start_tensorflow("cpu", amp=False, threads=max(1, available_cores() // local_size()))
    print_machine()
    from nnunet_tf.training.distributed import join_group

    shapes = gradient_shapes(options.features)
    for compressed in (False, True):
        group = join_group(fp16_allreduce=compressed)
        seconds = np.median(time_all_reduce(group, shapes, options.steps))
        size = sum(int(np.prod(shape)) for shape in shapes) * (2 if compressed else 4) / MEBIBYTE
        sent = 2 * (group.size - 1) / group.size * size
        if group.rank == 0:
            width = "float16" if compressed else "float32"
            print(
                f"{group.size:7}  {width}  {size:13.1f}  {sent:8.1f}  {seconds:8.3f}  {sent / seconds:8.1f}", flush=True
            )


def gradient_shapes(features: list[int] | None) -> list[tuple[int, ...]]:
    """Returns the shapes of the network's trainable weights."""
    from data_preprocessing.common.task import load_task
    from nnunet_tf.benchmark.subject import resized, synthetic_plan
    from nnunet_tf.networks.build import build_network
    from nnunet_tf.networks.settings import NetworkSettings

    plan = resized(synthetic_plan(load_task("01"), 3, channels=4, classes=4), None, features)
    settings = NetworkSettings(deep_supervision=True)
    network = build_network(plan.topology, plan.patch_size, len(plan.channels), plan.outputs, settings)
    return [tuple(weight.shape) for weight in network.trainable_weights]


def time_all_reduce(group, shapes: list[tuple[int, ...]], steps: int) -> list[float]:
    """Returns the seconds of each of `steps` all-reduces, after two that do not count."""
    import tensorflow as tf

    gradients = [tf.random.stateless_normal(shape, seed=(0, index)) for index, shape in enumerate(shapes)]
    reduce = tf.function(group.mean_gradients)
    seconds = []
    for _ in range(steps + 2):
        group.sum(np.zeros(1))  # all begin together
        start = time.perf_counter()
        for gradient in reduce(gradients):
            gradient.numpy()
        seconds.append(time.perf_counter() - start)
    return seconds[2:]


if __name__ == "__main__":
    main()
