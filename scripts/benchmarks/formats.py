"""Time and memory to read one large image of another format than NIfTI, each in a process of its own.

Run with ``python -m scripts.benchmarks.formats``.
"""

import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import SimpleITK
from PIL import Image

from data_preprocessing.images.volume_io import read_image
from scripts.benchmarks.machine import print_machine

SIDE = 20_000
SHAPE = (512, 512, 600)


def measure(path: Path) -> None:
    """Prints shape, seconds and peak of reading a file."""
    start = time.perf_counter()
    shape = read_image((path,)).array.shape
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{path.suffix:5} {' x '.join(map(str, shape)):22} {seconds:6.1f} s  peak {peak:.1f} GiB")


def main() -> None:
    """Writes and reads both."""
    print_machine()
    processes = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        picture, volume = Path(folder) / "a.png", Path(folder) / "a.mha"
        Image.new("L", (SIDE, SIDE), 9).save(picture)
        SimpleITK.WriteImage(SimpleITK.Image(SHAPE, SimpleITK.sitkInt16), str(volume))
        for path in (picture, volume):
            process = processes.Process(target=measure, args=(path,))
            process.start()
            process.join()


if __name__ == "__main__":
    main()
