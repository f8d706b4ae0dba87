"""A config for a data set that nobody configured, planned from its fingerprint."""

import math
import re
from dataclasses import dataclass

import numpy as np

from data_preprocessing.common.defaults import Encoder
from data_preprocessing.common.errors import UserError
from data_preprocessing.common.task import StatedTopology, TaskConfig, TrainingDefaults
from data_preprocessing.dataset.dataset import Dataset
from data_preprocessing.planning.fingerprint import Fingerprint
from data_preprocessing.planning.fingerprint_rules import (
    WITHOUT_LEFT_RIGHT,
    ct_intensities,
    left_right_pair,
    needs_nonzero_mask,
    normalization_name,
    slice_axis,
    target_spacing,
)
from data_preprocessing.planning.network_planner import GPU_MEMORY_GB, NetworkPlan, plan_for_dataset
from data_preprocessing.planning.plan import coarsest_first

LOW_RESOLUTION_SHARE = 0.25  # a patch that holds less of the median volume sees too little around it


@dataclass(frozen=True)
class PlannedConfig:
    """A config and what it was planned from. A data set of single slices has no `network_3d`."""

    config: TaskConfig
    fingerprint: Fingerprint
    class_names: tuple[str, ...]
    axis_order: tuple[int, int, int]
    network_2d: NetworkPlan
    network_3d: NetworkPlan | None
    gpu_memory_gb: float
    encoder: Encoder

    @property
    def low_resolution_share(self) -> float | None:
        """The 3D patch's share of the median volume, where it asks for a low-resolution stage (cascade)."""
        if self.network_3d is None:
            return None
        share = math.prod(self.network_3d.patch_size) / math.prod(self.network_3d.median_shape)
        return share if share < LOW_RESOLUTION_SHARE else None

    @property
    def training_options(self) -> list[str]:
        """The options with which training follows what was planned, `--task` apart."""
        encoder = ["--encoder", "residual"] if self.encoder == "residual" else []
        return encoder + (["--fold", "all"] if len(self.fingerprint.cases) == 1 else [])  # which cannot be split


def task_number(name: str) -> str:
    """Returns the number in the name of a data set's folder; raises UserError where there is none.

    >>> task_number("Task11_Mine"), task_number("Dataset004_Hippocampus")
    ('11', '04')
    """
    match = re.match(r"(?:Task|Dataset)(\d{1,3})(?!\d)", name)
    if not match:
        raise UserError(f"{name}: no task number in the folder's name; call it something like Task11_Mine")
    return f"{int(match.group(1)):02d}"


def plan_config(
    dataset: Dataset,
    fingerprint: Fingerprint,
    task: str,
    gpu_memory_gb: float = GPU_MEMORY_GB,
    encoder: Encoder = "plain",
) -> PlannedConfig:
    """Returns the config of task number `task`, such as "11", for training in `gpu_memory_gb` of GPU memory.

    Patch and batch are sized for nnU-Net's network with `encoder`.

    Source: nnU-Net v2's experiment planner. A data set of single slices gets a 2D network only; its
    low-resolution stage (cascade) is left out. Where classes are told apart by left and right, patches are not
    mirrored from left to right. Raises UserError where the memory is too small for any patch.
    """
    spacing = target_spacing(fingerprint)
    axis_order = coarsest_first(spacing)
    in_order = tuple(spacing[axis] for axis in axis_order)
    class_names = tuple(dataset.labels.values())
    classes = len(class_names)
    network_2d = plan_for_dataset(fingerprint, classes, 2, axis_order, in_order, gpu_memory_gb, encoder)
    network_3d = None
    if slice_axis(fingerprint) is None:
        network_3d = plan_for_dataset(fingerprint, classes, 3, axis_order, in_order, gpu_memory_gb, encoder)
    patch_size_3d, topology_3d = _in_array_order(network_3d, axis_order) if network_3d else (None, None)
    methods = [normalization_name(channel) for channel in dataset.channels]
    training = TrainingDefaults(batch_size_2d=network_2d.batch_size)
    if network_3d:
        training = training.model_copy(update={"batch_size_3d": network_3d.batch_size})
    if left_right_pair(class_names):
        training = training.model_copy(update={"mirror_axes": WITHOUT_LEFT_RIGHT})
    config = TaskConfig(
        task=task,
        dataset=dataset.folder.name,
        patch_size_3d=patch_size_3d,
        spacing_3d=spacing,
        patch_size_2d=(network_2d.patch_size[0], network_2d.patch_size[1]),
        spacing_2d=(in_order[1], in_order[2]),
        # A config has one set of numbers for all CT channels: several channels keep their own, filled in each time.
        ct=ct_intensities(fingerprint, methods.index("ct")) if methods.count("ct") == 1 else None,
        nonzero_mask="z_score" in methods and needs_nonzero_mask(fingerprint),
        topology_3d=topology_3d,
        topology_2d=StatedTopology(**network_2d.topology.model_dump()),
        regions=dataset.regions,
        training=training,
    )
    return PlannedConfig(config, fingerprint, class_names, axis_order, network_2d, network_3d, gpu_memory_gb, encoder)


def _in_array_order(
    network: NetworkPlan, axis_order: tuple[int, int, int]
) -> tuple[tuple[int, int, int], StatedTopology]:
    """Patch and topology of a 3D network as a config states them."""
    places = np.argsort(axis_order).tolist()  # of the array axes among those of the network
    depth, height, width = (network.patch_size[place] for place in places)
    topology = network.topology
    stated = StatedTopology(
        strides=tuple(tuple(stride[place] for place in places) for stride in topology.strides),
        kernels=tuple(tuple(kernel[place] for place in places) for kernel in topology.kernels),
        features=topology.features,
    )
    return (depth, height, width), stated
