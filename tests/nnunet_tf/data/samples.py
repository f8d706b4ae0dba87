"""Shards and single steps for the tests of the input pipeline."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from nvidia.dali import fn, pipeline_def
from nvidia.dali.data_node import DataNode
from scipy import ndimage

from data_preprocessing.common.files import write_array
from data_preprocessing.shards.format import foreground_path, foreground_table, image_path, label_path
from nnunet_tf.data.augmentation.parameters import Parameters
from nnunet_tf.data.sampling import epoch_samples as draws_module


def write_shard(folder: Path, name: str, image: np.ndarray, label: np.ndarray) -> None:
    """Writes a case, label `(z, y, x)`, image the same for one channel or `(z, y, x, channel)`."""
    write_array(image_path(folder, name), image.astype(np.float32).reshape(*label.shape, -1))
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


def many_channels(shape: tuple[int, ...]) -> np.ndarray:
    """Returns a smooth image whose channels, the last axis, have means of their own."""
    random = np.random.default_rng(1)
    smooth = ndimage.gaussian_filter(random.normal(size=shape), [1] * (len(shape) - 1) + [0]) * 5
    return (smooth + np.arange(shape[-1]) * 3).astype(np.float32)


def draw_always(monkeypatch: pytest.MonkeyPatch, **drawn: np.ndarray | float) -> None:
    """Makes every patch draw these fields of `Parameters`, and neutral values for the others.

    Each is the value of all patches, or an array `(patches, ...)` with their values.
    """

    def parameters(patches: int, seen: tuple, channels: int, *_: object) -> Parameters:
        shapes = {"rotation": (3,), "scale": (3,), "mirror": (3,), "crop": (3, 2), "blur": (channels, 3)}
        shapes |= dict.fromkeys(("brightness", "contrast", "low_resolution", "inverted_gamma", "gamma"), (channels,))
        ones = ("scale", "brightness", "contrast", "low_resolution", "inverted_gamma", "gamma")
        return Parameters(
            **{
                field.name: np.broadcast_to(
                    np.asarray(drawn.get(field.name, float(field.name in ones))),
                    (patches, *shapes.get(field.name, ())),
                )
                for field in fields(Parameters)
            }
        )

    monkeypatch.setattr(draws_module, "draw_parameters", parameters)


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
