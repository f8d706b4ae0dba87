"""Patch size, topology and batch size that fit a data set and a GPU: the method of nnU-Net v2's experiment planner.

Formulas and constants are those of `default_experiment_planner`, `network_topology` and, for the residual encoder,
`residual_encoder_unet_planners` of `nnunetv2.experiment_planning` (Isensee et al., Nature Methods 2021; MICCAI 2024).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from data_preprocessing.common.defaults import Encoder
from data_preprocessing.common.errors import UserError
from data_preprocessing.common.task import Dimensions
from data_preprocessing.planning.fingerprint import Fingerprint
from data_preprocessing.planning.fingerprint_rules import median_shape
from data_preprocessing.planning.planner_presets import REFERENCE_BATCH, SMALLEST_BATCH, Preset, preset_of
from data_preprocessing.planning.topology import (
    MAX_FEATURES,
    PLAIN_CONVOLUTIONS,
    RESIDUAL_BLOCKS,
    RESIDUAL_DECODER_CONVOLUTIONS,
    SMALLEST_SPLIT,
    Topology,
)

GPU_MEMORY_GB = 8.0
SMALLEST_LONE_SPLIT = 12  # an axis that would be halved alone needs more voxels
ANISOTROPY = 2.0
START_VOXELS = {2: 2048**2, 3: 256**3}
BASE_FEATURES = 32


@dataclass(frozen=True)
class NetworkPlan:
    """One network; axes in network order. `median_shape` is what its patches are cut from, in voxels."""

    patch_size: tuple[int, ...]
    topology: Topology
    batch_size: int
    median_shape: tuple[float, ...]
    start_patch: tuple[int, ...]
    memory_batch: int
    dataset_batch: int
    preset: Preset


def plan_for_dataset(
    fingerprint: Fingerprint,
    classes: int,
    dim: Dimensions,
    axis_order: tuple[int, int, int],
    spacing: tuple[float, ...],
    gpu_memory_gb: float = GPU_MEMORY_GB,
    encoder: Encoder = "plain",
) -> NetworkPlan:
    """Returns the network for a data set resampled to `spacing`: all three axes, mm, in network order.

    `classes` counts the background. A 2D network sees slices across the first axis. Raises UserError for a 3D network
    of single slices, and where the memory is too small.
    """
    shape = median_shape(fingerprint, axis_order, spacing)
    if dim == 3 and shape[0] == 1:
        raise UserError(f"{fingerprint.dataset}: single slices, and a 3D network needs volumes; use --dim 2")
    voxels = math.prod(shape) * len(fingerprint.cases)
    return plan_network(spacing[-dim:], shape[-dim:], voxels, classes, gpu_memory_gb, encoder)


def plan_network(
    spacing: Sequence[float],
    shape: Sequence[float],
    dataset_voxels: float,
    classes: int,
    gpu_memory_gb: float = GPU_MEMORY_GB,
    encoder: Encoder = "plain",
) -> NetworkPlan:
    """Returns the network for cases of median `shape` (voxels) and `spacing` (mm), both in network axis order.

    The patch starts proportional to 1 / spacing, with the volume of 256^3 voxels (2D: 2048^2), at most `shape`. While
    two patches (residual encoder in 2D: 12) need more than the memory, the axis of largest patch / shape shrinks by one
    step of what the network can halve. The batch then fills the memory, with at most 5 % of `dataset_voxels` (residual
    encoder: all of them), and at least 2 patches. Raises UserError where no patch is small enough, and for cases too
    small to be halved.
    """
    dim = len(spacing)
    preset = preset_of(encoder, gpu_memory_gb)
    budget = preset.budget(dim, gpu_memory_gb) * REFERENCE_BATCH[dim]  # values of a whole batch
    patch, topology = fit_topology(start_patch(spacing, shape), spacing)
    if len(topology.strides) == 1:
        raise UserError(f"a patch of {_times(patch)} voxels cannot be halved, as a U-Net must; give larger cases")
    start = patch
    while feature_values(patch, topology, classes, encoder) * preset.fewest_patches[dim] > budget:
        smaller, topology = _shrink(patch, topology, spacing, shape)
        if math.prod(smaller) >= math.prod(patch) or len(topology.strides) == 1:
            raise UserError(f"--gpu-memory {gpu_memory_gb:g}: too little for a patch of {_times(patch)}; give more")
        patch = smaller
    memory_batch = round(budget / feature_values(patch, topology, classes, encoder))
    dataset_batch = round(dataset_voxels * preset.dataset_share / math.prod(patch))
    return NetworkPlan(
        patch_size=patch,
        topology=topology,
        batch_size=max(min(memory_batch, dataset_batch), SMALLEST_BATCH),
        median_shape=tuple(shape),
        start_patch=start,
        memory_batch=memory_batch,
        dataset_batch=dataset_batch,
        preset=preset,
    )


def start_patch(spacing: Sequence[float], shape: Sequence[float]) -> tuple[float, ...]:
    """Returns the patch proportional to 1 / `spacing` (mm) of 256^3 or 2048^2 voxels, at most `shape` (voxels)."""
    dim = len(spacing)
    scale = (START_VOXELS[dim] * math.prod(spacing)) ** (1 / dim)
    return tuple(min(round(scale / mm), size) for mm, size in zip(spacing, shape, strict=True))


def fit_topology(patch: Sequence[float], spacing: Sequence[float]) -> tuple[tuple[int, ...], Topology]:
    """Returns `patch` padded to what the network can halve, and the topology for it and `spacing` (mm).

    An axis is halved while it has 8 voxels and is under twice as coarse as the finest that has; one left alone needs
    12. Its kernel is 1 until its spacing comes under twice the finest of all, 3 from then on; the bottleneck's is 3.
    """
    dim = len(patch)
    sizes, spacings = list(patch), list(spacing)
    strides: list[tuple[int, ...]] = [(1,) * dim]
    kernels: list[tuple[int, ...]] = []
    kernel = [1] * dim
    while axes := _axes_to_halve(sizes, spacings):
        finest = min(spacings)
        kernel = [3 if was == 3 or mm / finest < ANISOTROPY else 1 for was, mm in zip(kernel, spacings, strict=True)]
        kernels.append(tuple(kernel))
        strides.append(tuple(2 if axis in axes else 1 for axis in range(dim)))
        for axis in axes:
            sizes[axis] = math.ceil(sizes[axis] / 2)
            spacings[axis] *= 2
    kernels.append((3,) * dim)
    features = tuple(min(BASE_FEATURES * 2**stage, MAX_FEATURES[dim]) for stage in range(len(strides)))
    topology = Topology(strides=tuple(strides), kernels=tuple(kernels), features=features)
    padded = tuple(math.ceil(size / factor) * factor for size, factor in zip(patch, topology.downsampling, strict=True))
    return padded, topology


def feature_values(patch: Sequence[int], topology: Topology, classes: int, encoder: Encoder = "plain") -> int:
    """Returns how many values all convolutions of the U-Net put out for one patch: the measure of its memory.

    Source: `compute_conv_feature_map_size` of dynamic-network-architectures' `PlainConvUNet` and `ResidualEncoderUNet`,
    without deep supervision. It counts the skip path of a residual block that pools only, too.
    """
    residual = encoder == "residual"
    in_decoder = RESIDUAL_DECODER_CONVOLUTIONS if residual else PLAIN_CONVOLUTIONS
    sizes = list(patch)
    total = topology.features[0] * math.prod(sizes) if residual else 0  # the stem
    before, deepest = topology.features[0], len(topology.strides) - 1
    for level, (stride, features) in enumerate(zip(topology.strides, topology.features, strict=True)):
        sizes = [size // step for size, step in zip(sizes, stride, strict=True)]
        outputs = PLAIN_CONVOLUTIONS
        if residual:
            outputs = 2 * RESIDUAL_BLOCKS[min(level, len(RESIDUAL_BLOCKS) - 1)]
            outputs += features != before or any(step > 1 for step in stride)  # skip path of the first block
        if level < deepest:
            outputs += in_decoder + 1  # one more to upsample
        total += outputs * features * math.prod(sizes)
        before = features
    return total + classes * math.prod(patch)


def _axes_to_halve(sizes: Sequence[float], spacings: Sequence[float]) -> list[int]:
    large = [axis for axis, size in enumerate(sizes) if size >= SMALLEST_SPLIT]
    if not large:
        return []
    finest = min(spacings[axis] for axis in large)
    axes = [axis for axis in large if spacings[axis] / finest < ANISOTROPY]
    return [] if len(axes) == 1 and sizes[axes[0]] < SMALLEST_LONE_SPLIT else axes


def _shrink(
    patch: Sequence[int], topology: Topology, spacing: Sequence[float], shape: Sequence[float]
) -> tuple[tuple[int, ...], Topology]:
    """One step smaller: the step is what the network of the next smaller patch can halve, so that none is skipped."""
    axis = max(range(len(patch)), key=lambda axis: (patch[axis] / shape[axis], axis))
    smaller = list(patch)
    smaller[axis] -= topology.downsampling[axis]
    if smaller[axis] < 1:
        return tuple(patch), topology
    _, next_topology = fit_topology(smaller, spacing)
    smaller[axis] = patch[axis] - next_topology.downsampling[axis]
    return fit_topology(smaller, spacing)


def _times(sizes: Sequence[float]) -> str:
    return " x ".join(f"{size:g}" for size in sizes)
