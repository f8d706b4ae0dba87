"""Time and memory of preprocessing one synthetic CT: python -m scripts.benchmarks.preprocessing

Each line is one process: a volume of the given size is written, then made into a shard.
"""

import argparse
import resource
import tempfile
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import nibabel as nib
import numpy as np

from data_preprocessing.common.task import load_task
from data_preprocessing.dataset.dataset import Case, Dataset
from data_preprocessing.planning.plan import make_plan
from data_preprocessing.shards.pipeline import preprocess_case
from scripts.benchmarks.machine import print_machine

SPACING_BEFORE, SPACING_AFTER = (0.9, 0.9, 1.2), (1.5, 0.8, 0.8)  # (x, y, z) of the file; (z, y, x) of the plan
LARGE_CT = (512, 512, 600)


def main() -> None:
    """Prints a line a size: seconds, peak memory, and how many times the larger of its two float32 sizes that is."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=(64, 128, 256, 512), help="cubes, then the large CT")
    parser.add_argument("--no-large", action="store_true", help="leave out the CT of 512 x 512 x 600")
    options = parser.parse_args()
    print_machine()
    shapes = [(size,) * 3 for size in options.sizes] + ([] if options.no_large else [LARGE_CT])
    for shape in shapes:
        with tempfile.TemporaryDirectory() as folder:
            case = write_ct(Path(folder), shape)
            seconds, peak, after = _in_process(case, Path(folder))
        larger = max(np.prod(shape), np.prod(after)) * 4
        sizes = f"{' x '.join(map(str, shape)):>15} -> {' x '.join(map(str, after[::-1])):<15}"
        print(f"{sizes} {seconds:7.2f} s  peak {peak / 2**20:6.0f} MiB = {peak / larger:5.2f} x", flush=True)


def write_ct(folder: Path, shape: tuple[int, int, int]) -> Case:
    """Writes a CT-like volume of noise and its label, 3 classes of blocks, uncompressed; returns the case."""
    random = np.random.default_rng(0)
    affine = np.diag([*SPACING_BEFORE, 1.0])
    image = nib.Nifti1Image(random.integers(-1000, 1000, shape, dtype=np.int16), affine)
    label = np.zeros(shape, np.uint8)
    i, j, k = (size // 4 for size in shape)
    label[i : 3 * i, j : 3 * j, k : 2 * k], label[i : 2 * i, j : 2 * j, 2 * k : 3 * k] = 1, 2
    nib.save(image, folder / "image.nii")
    nib.save(nib.Nifti1Image(label, affine), folder / "label.nii")
    return Case("ct", (folder / "image.nii",), folder / "label.nii")


def _in_process(case: Case, folder: Path) -> tuple[float, int, tuple[int, int, int]]:
    receiver, sender = get_context("spawn").Pipe(duplex=False)
    process = get_context("spawn").Process(target=_measure, args=(case, folder, sender))
    process.start()
    result = receiver.recv()
    process.join()
    return result


def _measure(case: Case, folder: Path, sender: Connection) -> None:
    config = load_task("08").model_copy(update={"spacing_3d": SPACING_AFTER})
    dataset = Dataset(folder, ("CT",), {0: "background", 1: "organ", 2: "lesion"}, (case,))
    plan = make_plan(config, dataset, 3)
    start = time.perf_counter()
    record = preprocess_case(case, dataset, plan, folder, "float32")
    seconds = time.perf_counter() - start
    sender.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, record.shard_shape))


if __name__ == "__main__":
    main()
