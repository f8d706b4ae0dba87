"""Speed of the input pipeline, alone and beside training: python -m scripts.benchmarks.input_pipeline

On synthetic shards in a temporary folder, with the patches of tasks 04 and 01.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from data_preprocessing.common.files import write_array
from data_preprocessing.common.task import load_task
from data_preprocessing.dataset.dataset import Dataset
from data_preprocessing.planning.plan import Plan, make_plan
from data_preprocessing.shards.format import foreground_path, foreground_table, image_path, label_path
from nnunet_tf.choices import Augmentation
from nnunet_tf.data.sampling.settings import BatchSettings
from nnunet_tf.runtime.device import start_tensorflow
from scripts.benchmarks.machine import print_machine

LABELS = {0: "background", 1: "organ"}
UNTIMED_STEPS = 2  # the first traces the step; meanwhile batches are made that cost the next steps nothing


@dataclass(frozen=True)
class Scenario:
    """A task's patch, and made-up volumes of the usual size; how long to measure, the first steps not counting."""

    task: str
    channels: tuple[str, ...]
    shape: tuple[int, int, int]
    cases: int
    batch_size: int
    steps: int
    training_steps: int


SCENARIOS = (
    Scenario("04", ("MRI",), (35, 50, 35), cases=20, batch_size=2, steps=100, training_steps=30),
    Scenario("01", ("FLAIR", "T1w", "t1gd", "T2w"), (155, 240, 240), cases=3, batch_size=2, steps=6, training_steps=6),
)


def main() -> None:
    """Prints patches a second, processor time a patch, and the share of training spent waiting for batches."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--augmentation", nargs="*", choices=get_args(Augmentation), default=["none", "basic", "full"])
    parser.add_argument("--threads", type=int, default=2, help="of DALI")
    parser.add_argument("--no-training", action="store_true", help="leave out what waits beside training")
    parser.add_argument("--amp", action="store_true", help="train in mixed precision")
    options = parser.parse_args()
    start_tensorflow("cpu", options.amp)
    print_machine()
    for scenario in SCENARIOS:
        with tempfile.TemporaryDirectory() as name:
            names = write_shards(Path(name), scenario)
            plan = make_plan(load_task(scenario.task), Dataset(Path(name), scenario.channels, LABELS, ()), 3)
            size = " x ".join(map(str, plan.patch_size))
            print(f"task {scenario.task}: patch {size}, {len(plan.channels)} channels, {scenario.cases} volumes")
            for augmentation in options.augmentation:
                for read_roi in (True, False):
                    settings = BatchSettings(scenario.batch_size, scenario.steps, 0, augmentation, read_roi)
                    measure_alone(Path(name), plan, names, settings, options.threads)
            if not options.no_training:
                measure_waiting(Path(name), plan, names, scenario, options.augmentation[-1], options.threads)


def write_shards(folder: Path, scenario: Scenario) -> list[str]:
    """Writes the cases of a scenario, noise with one box of foreground; returns their names."""
    random = np.random.default_rng(0)
    label = np.zeros(scenario.shape, np.uint8)
    label[tuple(slice(size // 3, size // 2) for size in scenario.shape)] = 1
    names = [f"case_{index}" for index in range(scenario.cases)]
    for name in names:
        image = random.standard_normal((*scenario.shape, len(scenario.channels)), np.float32)
        write_array(image_path(folder, name), image)
        write_array(label_path(folder, name), label[..., np.newaxis])
        write_array(foreground_path(folder, name), foreground_table(label, seed=0))
    return names


def measure_alone(shards: Path, plan: Plan, names: list[str], settings: BatchSettings, threads: int) -> None:
    """Prints how fast one epoch goes with nothing else to do."""
    from nnunet_tf.data.pipeline import TrainingBatches

    batches = TrainingBatches(shards, plan, names, settings, threads=threads, epochs=range(1))
    stream = batches.epoch(0)
    next(stream)
    start, processor_start = time.perf_counter(), time.process_time()
    count = sum(len(image) for image, _ in stream)
    seconds, processor_seconds = time.perf_counter() - start, time.process_time() - processor_start
    read = "region" if settings.read_roi else "volume"
    print(
        f"  {settings.augmentation:>5}, {read} read: {count / seconds:7.1f} patches/s, "
        f"{1000 * processor_seconds / count:6.1f} ms of a core a patch",
        flush=True,
    )


def measure_waiting(
    shards: Path, plan: Plan, names: list[str], scenario: Scenario, augmentation: Augmentation, threads: int
) -> None:
    """Prints the seconds of a training step of the plain network, and the share of them spent waiting for its batch.

    The last steps wait for batches that are made beside training, as there are more steps than batches kept ready.
    """
    from nnunet_tf.data.pipeline import TrainingBatches
    from nnunet_tf.networks.build import build_network
    from nnunet_tf.networks.settings import NetworkSettings
    from nnunet_tf.training.config.loss_and_optimizer import LossSettings, OptimizerSettings
    from nnunet_tf.training.distributed import Alone
    from nnunet_tf.training.optimization.losses import make_loss
    from nnunet_tf.training.optimization.optimizer import make_optimizer
    from nnunet_tf.training.optimization.step import TrainingStep

    network = build_network(plan.topology, plan.patch_size, len(plan.channels), plan.outputs, NetworkSettings())
    steps = UNTIMED_STEPS + scenario.training_steps
    optimizer = make_optimizer(OptimizerSettings(learning_rate=3e-4), steps, False)
    step = TrainingStep(network, optimizer, Alone(), make_loss(LossSettings(), None))
    settings = BatchSettings(scenario.batch_size, steps, 0, augmentation)
    stream = TrainingBatches(shards, plan, names, settings, threads=threads, epochs=range(1)).epoch(0)
    for _ in range(UNTIMED_STEPS):
        float(step(*next(stream)))
    start, waited = time.perf_counter(), 0.0
    for _ in range(scenario.training_steps):
        before = time.perf_counter()
        batch = next(stream)
        waited += time.perf_counter() - before
        float(step(*batch))
    seconds = time.perf_counter() - start
    print(
        f"  training, {augmentation}: {seconds / scenario.training_steps:.3f} s a step of "
        f"{scenario.batch_size}, {100 * waited / seconds:.1f} % of it waiting for the batch",
        flush=True,
    )


if __name__ == "__main__":
    main()
