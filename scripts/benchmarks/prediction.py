"""Memory and time of predicting a large CT with a tiny network: python -m scripts.benchmarks.prediction

Patch and spacing of task 03, windows overlapping by half, noise for a scan, a 1x1x1 convolution for a network: what is
measured is everything around it. Each part is a process of its own. The way back, from logits to labels on the scan's
grid, is compared with skimage and SciPy, order 1, in one process and in turn. All three are given the same logits, of
fewer classes and planes but of full width; seconds are scaled up to all voxels and classes, which none of the three is
slower or faster with a voxel: skimage and SciPy take them one by one, ours plane by plane.
"""

import argparse
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from scipy import ndimage
from skimage.transform import resize

from data_preprocessing.common.task import load_task
from data_preprocessing.dataset.dataset import Dataset
from data_preprocessing.images.volume_io import Volume
from data_preprocessing.planning.plan import Plan, make_plan
from data_preprocessing.shards.prepare import place, prepare_image
from data_preprocessing.transforms.resample import LINEAR, PlaneResampler, resampled_shape
from scripts.benchmarks.machine import print_machine

if TYPE_CHECKING:
    import keras

TASK = "03"
SPACING = (0.9, 0.8, 0.8)  # (z, y, x) of the scan, mm
GIB = 2**30


def main() -> None:
    """Prints seconds and peak memory of a prediction, then the seconds of the way back by us and by others."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(600, 512, 512), help="of the scan, z y x")
    parser.add_argument("--classes", type=int, default=41)
    parser.add_argument("--tta", action="store_true")
    parser.add_argument("--uncertainty", action="store_true")
    parser.add_argument("--peer-classes", type=int, default=4, help="in the comparison of the way back")
    parser.add_argument("--peer-planes", type=int, default=48)
    parser.add_argument("--runs", type=int, default=2)
    options = parser.parse_args()
    for part in (measure_prediction, compare_restoring):
        process = get_context("spawn").Process(target=part, args=(options,))
        process.start()
        process.join()


def measure_prediction(options: argparse.Namespace) -> None:
    """Predicts the scan; prints a line a stage."""
    from nnunet_tf.runtime.device import start_tensorflow

    start_tensorflow("cpu", amp=False)
    print_machine()
    from nnunet_tf.inference.volume.ensemble import Ensemble, Member, Wanted

    plan = liver_plan(options.classes)
    lap = Lap()
    volume = noise(options.shape)
    lap("making the scan")
    prepared = prepare_image(volume, place(volume, plan), plan).shape[:3]
    size = np.prod(prepared) * options.classes * 4 / 1e9
    lap(f"preparing it: {' x '.join(map(str, prepared))}, logits of {size:.1f} GB (done again by what follows)")
    ensemble = Ensemble([Member(plan, (tiny_network(plan),))], tta_axes=(0, 1, 2) if options.tta else ())
    windows = []
    prediction = ensemble.predict(volume, Wanted(uncertainty=options.uncertainty), lambda *step: windows.append(step))
    lap(f"predicting it: {windows[-1][1]} windows, {len(np.unique(prediction.labels))} labels")


def compare_restoring(options: argparse.Namespace) -> None:
    """Brings the same logits back by ours, skimage and SciPy; prints seconds for the whole and ratios."""
    from data_preprocessing.common.machine import available_cores
    from nnunet_tf.inference.volume.decisions import likeliest
    from nnunet_tf.inference.volume.resampled_planes import RestoredPlanes

    plan = liver_plan(options.classes)
    full = resampled_shape(options.shape, SPACING, plan.spacing)
    source = (options.peer_planes, *full[1:])
    target = (round(options.peer_planes * options.shape[0] / full[0]), *options.shape[1:])
    scores = np.random.default_rng(0).normal(size=(options.peer_classes, *source)).astype(np.float32)
    scale = options.shape[0] / target[0] * options.classes / options.peer_classes

    def ours() -> np.ndarray:
        planes = RestoredPlanes(iter([(0, scores)]), PlaneResampler(source, target, (LINEAR,) * 3))
        planes.advance(0)

        def labels(plane: int) -> np.ndarray:
            return likeliest(planes.score(plane, channel) for channel in range(len(scores)))

        with ThreadPoolExecutor(available_cores()) as pool:
            return np.stack(list(pool.map(labels, range(target[0]))))

    def by_skimage(channel: np.ndarray) -> np.ndarray:
        return resize(channel, target, order=LINEAR, mode="edge", anti_aliasing=False, clip=False)

    def by_scipy(channel: np.ndarray) -> np.ndarray:
        factors = [after / before for after, before in zip(target, source, strict=True)]
        return ndimage.zoom(channel, factors, order=LINEAR, mode="nearest", grid_mode=True)

    ways: dict[str, Callable[[], np.ndarray]] = {
        "ours": ours,
        "skimage": lambda: np.argmax([by_skimage(channel) for channel in scores], axis=0),
        "SciPy": lambda: np.argmax([by_scipy(channel) for channel in scores], axis=0),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.runs):
        results = {}
        for name, way in ways.items():
            start = time.perf_counter()
            results[name] = way()
            seconds[name].append((time.perf_counter() - start) * scale)
        print("the way back, scaled up: " + "   ".join(f"{name} {each[-1]:.0f} s" for name, each in seconds.items()))
    for name in ("skimage", "SciPy"):
        ratio = np.median(seconds[name]) / np.median(seconds["ours"])
        same = np.mean(results[name] == results["ours"])
        print(f"{name} takes {ratio:.1f} times as long; the label is the same in {same:.4%} of the voxels")


def liver_plan(classes: int) -> Plan:
    """Returns the 3D plan of the task, for so many classes."""
    labels = {0: "background"} | {number: f"organ {number}" for number in range(1, classes)}
    config = load_task(TASK)
    return make_plan(config, Dataset(None, ("CT",), labels, ()), 3)


def noise(shape: Sequence[int]) -> Volume:
    """Returns a CT of noise, made plane by plane."""
    random = np.random.default_rng(0)
    array = np.empty((*shape, 1), np.float32)
    for plane in array:
        plane[:] = random.normal(100, 60, plane.shape)
    grid = nib.Nifti1Image(np.broadcast_to(np.uint8(0), shape[::-1]), np.diag([*SPACING[::-1], 1]))
    return Volume(array, SPACING, grid)


def tiny_network(plan: Plan) -> "keras.Model":
    """Returns a convolution of one voxel."""
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((*plan.patch_size, 1))
    layer = keras.layers.Conv3D(plan.outputs, 1, kernel_initializer="random_normal", bias_initializer="random_normal")
    return keras.Model(inputs, layer(inputs))


class Lap:
    """Prints seconds since the last lap, and the largest resident memory so far."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def __call__(self, title: str) -> None:
        """Prints the time since the last call and the peak of memory so far."""
        now = time.perf_counter()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
        print(f"{now - self._start:7.1f} s   peak {peak:5.2f} GiB   {title}", flush=True)
        self._start = time.perf_counter()


if __name__ == "__main__":
    main()
