"""Shards and single steps for the tests of the input pipeline."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from nvidia.dali import fn, pipeline_def
from nvidia.dali.data_node import DataNode

from data_preprocessing.files import write_array
from data_preprocessing.shards import foreground_path, foreground_table, image_path, label_path


def write_shard(folder: Path, name: str, image: np.ndarray, label: np.ndarray) -> None:
    """Writes a case of one channel, image and label `(z, y, x)`."""
    write_array(image_path(folder, name), image.astype(np.float32)[..., np.newaxis])
    write_array(label_path(folder, name), label.astype(np.uint8)[..., np.newaxis])
    write_array(foreground_path(folder, name), foreground_table(label, seed=0))


def numbered_shards(folder: Path, shape: tuple[int, int, int], count: int = 3) -> list[str]:
    """Writes cases whose image numbers all voxels of all cases, and whose only foreground voxel is at (2, 3, 4)."""
    size = int(np.prod(shape))
    names = []
    for index in range(count):
        label = np.zeros(shape, np.uint8)
        label[2, 3, 4] = 1
        names.append(f"case_{index}")
        write_shard(folder, names[-1], 1 + index * size + np.arange(size).reshape(shape), label)
    return names


def run_step(step: Callable, volumes: Sequence[Sequence[np.ndarray]], parameters: Sequence[np.ndarray]) -> list:
    """Runs a step of augmentation on the CPU; returns its outputs, each a list with one array a sample.

    `volumes` are its first arguments, each a list of arrays `(z, y, x, channel)` or `(y, x, channel)`, one a sample;
    `parameters` the next ones, each with one entry a sample.
    """
    layout = "DHWC"[-volumes[0][0].ndim :]

    @pipeline_def(enable_conditionals=True, batch_size=len(volumes[0]), num_threads=1, device_id=None)
    def pipeline() -> DataNode:
        inputs = [
            fn.external_source(source=[[np.array(each, order="C") for each in samples]], cycle=True, layout=layout)
            for samples in volumes
        ]
        drawn = [
            fn.external_source(source=[[np.array(each, order="C") for each in values]], cycle=True)
            for values in parameters
        ]
        return step(*inputs, *drawn)

    return [[np.array(sample) for sample in output] for output in pipeline().run()]
