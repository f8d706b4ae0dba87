"""The loss curve of 1, 2 and 4 workers at the same global batch and seed: python -m scripts.benchmarks.same_answer

On the CPU, on a small phantom data set unless --task and --shards say otherwise. Without augmentation, as the voxels of
its noise are drawn by each worker for itself.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from scripts.benchmarks.machine import print_machine
from scripts.benchmarks.phantom_shards import write_shards

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Prints the losses, an epoch a line, and the largest relative difference from those of one worker."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--task", help="of real shards; else the phantom's")
    parser.add_argument("--shards", type=Path, default=ROOT / "shards")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--batch", type=int, default=4, help="the global one")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory(prefix="same_answer_") as name:
        folder = Path(name)
        data = ["--task", options.task, "--shards", options.shards] if options.task else write_shards(folder)
        length = ["--epochs", options.epochs, "--steps-per-epoch", options.steps, "--learning-rate", 1e-3]
        curves = {
            workers: losses(folder / str(workers), workers, options.batch, [*data, *length])
            for workers in options.workers
        }
    print("epoch  " + "  ".join(f"{workers:>2} worker{'s' * (workers > 1):1}" for workers in curves))
    for epoch, row in enumerate(zip(*curves.values(), strict=True), start=1):
        print(f"{epoch:5}  " + "  ".join(f"{loss:10.7f}" for loss in row))
    alone, *others = (np.array(curve) for curve in curves.values())
    for workers, curve in zip(options.workers[1:], others, strict=True):
        print(f"{workers} workers: largest relative difference {np.max(np.abs(curve / alone - 1)):.1e}")


def losses(results: Path, workers: int, batch: int, words: list[object]) -> list[float]:
    """Returns the loss of each epoch of a run with so many workers."""
    share = ["--gpus", workers, "--batch-size", batch // workers, "--augmentation", "none", "--device", "cpu"]
    command = ["train.py", *words, *share, "--results", results, "--validate-every", 0]
    subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    (path,) = results.glob("*/fold_0/metrics.jsonl")
    return [json.loads(line)["loss"] for line in path.read_text().splitlines()]


if __name__ == "__main__":
    main()
