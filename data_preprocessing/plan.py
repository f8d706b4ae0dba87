"""`plan.json`: everything a network was built for, kept beside the shards and in every model folder."""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import Field

from data_preprocessing.dataset import Dataset
from data_preprocessing.errors import UserError
from data_preprocessing.files import read_model, write_model
from data_preprocessing.normalize import Normalization
from data_preprocessing.task import Dimensions, Strict, TaskConfig, TrainingDefaults
from data_preprocessing.topology import Topology, plan_topology

PLAN_NAME = "plan.json"


class Plan(Strict):
    """What the stages agree on. `patch_size` and `spacing` (mm) are in network axis order, coarsest axis first.

    `axis_order` says which axes of the RAS+ `(z, y, x)` volume the network's three axes are. A 2D plan's `patch_size`,
    `spacing` and topology hold the last two of them; its network sees slices along the first.
    `label_values[i]` is the number that class `i` has in the data set's own label files; class 0 is the background.
    """

    format: Literal[1] = 1
    task: str
    dataset: str
    dim: Dimensions
    channels: tuple[str, ...]
    classes: tuple[str, ...]
    label_values: tuple[int, ...]
    axis_order: tuple[int, int, int]
    patch_size: tuple[int, ...]
    spacing: tuple[float, ...]
    normalization: tuple[Normalization, ...]
    nonzero_mask: bool
    topology: Topology
    training: TrainingDefaults
    config_hash: str = Field(description="of the task config the plan was made from")

    @property
    def foreground(self) -> tuple[str, ...]:
        """Names of the classes that are scored: all but the background."""
        return self.classes[1:]

    @property
    def name(self) -> str:
        """`task04_3d`: the folder name of its shards and its models."""
        return folder_name(self.task, self.dim)


def folder_name(task: str, dim: Dimensions) -> str:
    """Returns the folder of a task's shards or models, such as `task04_3d`."""
    return f"task{task}_{dim}d"


def make_plan(config: TaskConfig, dataset: Dataset, dim: Dimensions) -> Plan:
    """Returns the plan of a 2D or 3D network for `dataset` under `config`; raises UserError where they do not fit."""
    axis_order = coarsest_first(config.spacing_3d)
    patch_3d = tuple(config.patch_size_3d[axis] for axis in axis_order)
    spacing_3d = tuple(config.spacing_3d[axis] for axis in axis_order)
    patch_size = patch_3d if dim == 3 else config.patch_size_2d
    spacing = spacing_3d if dim == 3 else config.spacing_2d
    topology = plan_topology(patch_size, spacing, config.features)
    for size, factor in zip(patch_size, topology.downsampling, strict=True):
        if size % factor:
            raise UserError(
                f"task {config.task}: patch_size_{dim}d {list(patch_size)} is not a multiple of "
                f"{topology.downsampling}, by which the network downsamples; change it in the config"
            )
    return Plan(
        task=config.task,
        dataset=config.dataset,
        dim=dim,
        channels=dataset.channels,
        classes=tuple(dataset.labels.values()),
        label_values=tuple(dataset.labels),
        axis_order=axis_order,
        patch_size=patch_size,
        spacing=spacing,
        normalization=tuple(_normalization(config, channel) for channel in dataset.channels),
        nonzero_mask=config.nonzero_mask,
        topology=topology,
        training=config.training,
        config_hash=hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:16],
    )


def coarsest_first(spacing: tuple[float, float, float]) -> tuple[int, int, int]:
    """Returns the order of the three array axes that puts the one of largest spacing first and keeps the others.

    >>> coarsest_first((1.0, 1.0, 3.0))
    (2, 0, 1)
    """
    coarsest = max(range(3), key=lambda axis: spacing[axis])
    first, second = (axis for axis in range(3) if axis != coarsest)
    return coarsest, first, second


def read_plan(folder: Path, remedy: str) -> Plan:
    """Returns the plan kept in `folder`; raises UserError, ending in `remedy`, where there is none."""
    return read_model(folder / PLAN_NAME, Plan, remedy)


def write_plan(folder: Path, plan: Plan) -> None:
    """Writes the plan into `folder`, atomically."""
    write_model(folder / PLAN_NAME, plan)


def _normalization(config: TaskConfig, channel: str) -> Normalization:
    """Normalisation by modality: CT by the data set's statistics, all else by z-score (RULES "Preprocessing")."""
    name = config.normalization or ("ct" if channel.strip().upper() == "CT" else "z_score")
    if name != "ct":
        return Normalization(name=name)
    if config.ct is None:
        raise UserError(
            f"task {config.task}: channel {channel} is CT, the config lacks ct: low, high, mean, std; add it"
        )
    return Normalization(name="ct", **config.ct.model_dump())
