"""The plan of the network that is measured: a task's config on a made-up data set, or that of real shards."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.task import Dimensions, TaskConfig
from data_preprocessing.dataset.dataset import Dataset
from data_preprocessing.planning.plan import Plan, folder_name, make_plan, needs_fingerprint
from data_preprocessing.planning.topology import Topology, plan_topology
from data_preprocessing.shards.format import check_config, open_shards


@dataclass(frozen=True)
class ShardFolder:
    """Where real patches come from: the folder, its plan, and the names of all its cases."""

    path: Path
    plan: Plan
    cases: tuple[str, ...]


def synthetic_plan(config: TaskConfig, dim: Dimensions, channels: int, classes: int) -> Plan:
    """Returns the plan that `config` gives for a data set of so many channels and classes.

    Raises UserError where the config leaves patch or spacing to the data set.
    """
    # Intensities and regions are the data set's own, and no matter of speed.
    bare = config.model_copy(update={"normalization": "none", "nonzero_mask": False, "regions": None})
    names = tuple(f"channel {index}" for index in range(channels))
    labels = {index: f"class {index}" for index in range(classes)}
    dataset = Dataset(Path(config.dataset), names, labels, ())
    missing = needs_fingerprint(bare, dataset, dim)
    if missing:
        raise UserError(
            f"task {config.task}: its config leaves {', '.join(missing)} to the data set; preprocess that and use "
            "--data shards, or take another --task"
        )
    return make_plan(bare, dataset, dim)


def open_shard_folder(shards: Path, config: TaskConfig, task: str, dim: Dimensions) -> ShardFolder:
    """Returns the shards of a task in the `--shards` folder.

    Raises UserError, with the command that makes them for what the user called `task`, where there are none, or only
    those of another config.
    """
    folder = shards / folder_name(config.task, dim)
    command = ["python", "preprocess.py", "--task", task, "--dim", str(dim), "--shards", str(shards)]
    remedy = f"run: {shlex.join(command)}"
    plan, manifest = open_shards(folder, remedy)
    check_config(folder, manifest, config, remedy)
    return ShardFolder(folder, plan, tuple(manifest.cases))


def resized(plan: Plan, patch_size: Sequence[int] | None, features: Sequence[int] | None) -> Plan:
    """Returns `plan` with another patch, in array order `(z, y, x)`, in 2D `(y, x)`, and other features a stage.

    The strides of another patch are those of NVIDIA's rule. Raises UserError for a patch that does not fit.
    """
    if patch_size is None:
        return plan if features is None else plan.model_copy(update={"topology": _widened(plan.topology, features)})
    if len(patch_size) != plan.dim:
        raise UserError(f"--patch-size: {len(patch_size)} numbers for a {plan.dim}D network; give {plan.dim}")
    patch = tuple(patch_size[axis] for axis in plan.axis_order) if plan.dim == 3 else tuple(patch_size)
    topology = plan_topology(patch, plan.spacing, features or plan.topology.features)
    if any(size % factor for size, factor in zip(patch, topology.downsampling, strict=True)):
        fitting = [-(-size // factor) * factor for size, factor in zip(patch, topology.downsampling, strict=True)]
        raise UserError(
            f"--patch-size: {list(patch)} is not a multiple of {topology.downsampling}, by which the network "
            f"downsamples; give for instance {' '.join(map(str, fitting))}"
        )
    return plan.model_copy(update={"patch_size": patch, "topology": topology})


def _widened(topology: Topology, features: Sequence[int]) -> Topology:
    stages = len(topology.strides)
    every = ([*features] + [features[-1]] * stages)[:stages]
    return topology.model_copy(update={"features": tuple(every)})
