"""Speed of our cubic resampling against skimage, in turn in one run: python -m scripts.benchmarks.resampling"""

import argparse
import time

import numpy as np
from scipy import ndimage
from skimage.transform import resize

from data_preprocessing.transforms.resample import CUBIC, axis_operator, resample
from scripts.benchmarks.machine import print_machine


def main() -> None:
    """Prints seconds and their ratio, and how far the results are apart."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--source", type=int, nargs=3, default=(300, 512, 512), help="z y x")
    parser.add_argument("--target", type=int, nargs=3, default=(600, 400, 400), help="z y x")
    parser.add_argument("--runs", type=int, default=2)
    options = parser.parse_args()
    print_machine()
    random = np.random.default_rng(0)
    volume = ndimage.gaussian_filter(random.normal(size=options.source).astype(np.float32), 1.5)
    ratios = []
    for _ in range(options.runs):
        axis_operator.cache_clear()  # making the operators counts
        start = time.perf_counter()
        ours = resample(volume, options.target, (CUBIC,) * 3)
        middle = time.perf_counter()
        theirs = resize(volume, options.target, order=3, mode="edge", anti_aliasing=False, clip=False)
        end = time.perf_counter()
        ratios.append((end - middle) / (middle - start))
        print(f"ours {middle - start:6.2f} s   skimage {end - middle:6.2f} s   ratio {ratios[-1]:.1f}", flush=True)
    print(f"median ratio {np.median(ratios):.1f}, largest difference {np.abs(ours - theirs).max():.1e}")


if __name__ == "__main__":
    main()
