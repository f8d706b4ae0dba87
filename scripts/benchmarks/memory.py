"""Peak memory of a training step on the CPU: python -m scripts.benchmarks.memory

The 3D network of task 01 (patches of 128 x 128 x 128, four channels, four classes) with deep supervision, in float32
and mixed precision, each in a process of its own.
"""

import argparse
import resource
import subprocess
import sys

import numpy as np

from data_preprocessing.common.task import load_task
from data_preprocessing.planning.topology import plan_topology
from nnunet_tf.runtime.device import start_tensorflow
from scripts.benchmarks.machine import print_machine
from scripts.benchmarks.step import training_step

TASK = "01"
CHANNELS = 4
CLASSES = 4
STEPS = 2


def main() -> None:
    """Prints the largest resident memory of a process that makes two training steps."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--amp", action="store_true", help="measure mixed precision, in this process")
    parser.add_argument("--float32", action="store_true", help="measure float32, in this process")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--encoder", default="plain", choices=("plain", "residual"))
    options = parser.parse_args()
    if options.amp or options.float32:
        measure(options.amp, options.batch, options.encoder)
        return
    for precision in ("--float32", "--amp"):
        arguments = [precision, "--batch", str(options.batch), "--encoder", options.encoder]
        status = subprocess.run([sys.executable, "-m", "scripts.benchmarks.memory", *arguments]).returncode
        if status:
            print(f"{precision}: ended with status {status}; -9 is out of memory, try a smaller --batch")


def measure(amp: bool, batch: int, encoder: str) -> None:
    """Makes the steps and prints the peak."""
    runtime = start_tensorflow("cpu", amp)
    print_machine()
    from nnunet_tf.networks.build import build_network
    from nnunet_tf.networks.settings import NetworkSettings

    config = load_task(TASK)
    patch = config.patch_size_3d
    topology = plan_topology(patch, config.spacing_3d, config.features)
    settings = NetworkSettings(encoder=encoder, deep_supervision=True)
    step = training_step(build_network(topology, patch, CHANNELS, CLASSES, settings))
    random = np.random.default_rng(0)
    image = random.normal(size=(batch, *patch, CHANNELS)).astype(np.float32)
    label = random.integers(CLASSES, size=(batch, *patch), dtype=np.int32)
    for _ in range(STEPS):
        loss = float(step(image, label))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{runtime.precision}: {patch}, batch {batch}, {encoder}: peak {peak:.1f} GiB, loss {loss:.3f}", flush=True)


if __name__ == "__main__":
    main()
