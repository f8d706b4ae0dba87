"""Time and memory of postprocessing the segmentation of a large CT: python -m scripts.benchmarks.postprocessing

Blobs of 41 numbers, with half a million voxels changed at random: far more islands than a network leaves.
"""

import argparse
import resource
import time

import numpy as np
from scipy import ndimage

from nnunet_tf.inference.postprocessing.settings import Postprocessing, apply
from scripts.benchmarks.machine import print_machine

COARSENESS = 8  # voxels a side of what the blobs are made of
SPECKLES = 500_000


def main() -> None:
    """Prints seconds, and the resident memory before and at its peak."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(600, 512, 512), help="z y x, multiples of 8")
    parser.add_argument("--classes", type=int, default=41)
    options = parser.parse_args()
    print_machine()
    labels = segmentation(options.shape, options.classes)
    foreground = np.count_nonzero(labels) / labels.size
    before = peak_gib()
    postprocessing = Postprocessing(keep_largest_foreground=True, keep_largest=tuple(range(1, options.classes + 1)))
    start = time.perf_counter()
    apply(labels, postprocessing)
    seconds = time.perf_counter() - start
    print(
        f"{options.shape}, {options.classes} classes, {foreground:.0%} foreground: {seconds:.1f} s, "
        f"{before:.2f} GiB before, {peak_gib():.2f} GiB at the peak"
    )


def segmentation(shape: tuple[int, int, int], classes: int) -> np.ndarray:
    """Returns label numbers, uint8 of `shape`."""
    random = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(random.normal(size=[size // COARSENESS for size in shape]).astype(np.float32), 2)
    labels = np.digitize(smooth, np.quantile(smooth, np.linspace(0.6, 1, classes, endpoint=False))).astype(np.uint8)
    for axis in range(3):
        labels = np.repeat(labels, COARSENESS, axis)
    labels.reshape(-1)[random.integers(0, labels.size, SPECKLES)] = random.integers(0, classes + 1, SPECKLES)
    return labels


def peak_gib() -> float:
    """Returns the largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
