"""Time and memory of scoring one large case: python -m scripts.benchmarks.scoring

A CT of 512 x 512 x 600 voxels with 41 ellipsoids, the longest 24 cm, the prediction a voxel beside the
truth along each axis.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np

from nnunet_tf.evaluation.scoring.case import load_pair, score_case
from nnunet_tf.evaluation.scoring.options import ScoringOptions
from nnunet_tf.evaluation.scoring.structures import class_structures
from scripts.benchmarks.machine import print_machine

SHAPE = (512, 512, 600)
SPACING = (0.75, 0.75, 1.0)
CLASSES = 41
RADII = (15, 160)  # voxels


def main() -> None:
    """Prints the seconds of reading, of Dice and volumes, and of the surface measures on top."""
    argparse.ArgumentParser(description=main.__doc__).parse_args()
    print_machine()
    names = class_structures({0: "background"} | {number: f"organ {number}" for number in range(1, CLASSES + 1)})
    with tempfile.TemporaryDirectory() as folder:
        prediction, truth = Path(folder) / "prediction.nii.gz", Path(folder) / "truth.nii.gz"
        voxels = ellipsoids()
        save(truth, voxels)
        save(prediction, np.roll(voxels, (1, 1, 1), (0, 1, 2)))
        del voxels
        before = seconds(lambda: load_pair(prediction, truth))
        without = seconds(lambda: score_case("case", prediction, truth, names, ScoringOptions(surface=False)))
        whole = seconds(lambda: score_case("case", prediction, truth, names))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"reading {before:.1f} s, Dice and volumes {without - before:.1f} s, surfaces {whole - without:.1f} s")
    print(f"peak {peak:.2f} GiB, the making of the volumes included")


def ellipsoids() -> np.ndarray:
    """Returns uint8 `(i, j, k)`; later ones lie over earlier ones."""
    random = np.random.default_rng(0)
    voxels = np.zeros(SHAPE, np.uint8)
    for number, largest in enumerate(np.geomspace(RADII[1], RADII[0], CLASSES), start=1):
        radii = random.uniform(0.5, 1, 3) * largest
        centre = random.uniform(radii, np.array(SHAPE) - radii)
        box = tuple(slice(int(low), int(high)) for low, high in zip(centre - radii, centre + radii, strict=True))
        grid = np.ogrid[box]
        inside = sum(((each - c) / r) ** 2 for each, c, r in zip(grid, centre, radii, strict=True)) < 1
        voxels[box][inside] = number
    return voxels


def save(path: Path, voxels: np.ndarray) -> None:
    """Writes a label file."""
    nib.save(nib.Nifti1Image(voxels, np.diag([*SPACING, 1])), path)


def seconds(work) -> float:
    """Returns how long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
