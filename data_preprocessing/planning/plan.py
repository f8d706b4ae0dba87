"""`plan.json`: everything a network was built for, kept beside the shards and in every model folder."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from data_preprocessing.common.defaults import AXES
from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import read_model, validated, write_model
from data_preprocessing.common.task import Dimensions, Strict, TaskConfig, TaskNumber, TrainingDefaults
from data_preprocessing.dataset.dataset import Dataset
from data_preprocessing.planning.fingerprint import Fingerprint
from data_preprocessing.planning.fingerprint_rules import (
    ct_intensities,
    needs_nonzero_mask,
    normalization_name,
    target_spacing,
)
from data_preprocessing.planning.network_planner import plan_for_dataset
from data_preprocessing.planning.plan_checks import check_plan, distinct_labels, known_axis_order
from data_preprocessing.planning.topology import Topology, plan_topology
from data_preprocessing.transforms.normalize import Normalization

PLAN_NAME = "plan.json"


class Region(Strict):
    """A structure with an output of its own: the union of `classes`, indices of the plan's; predicted as `value`."""

    name: str
    classes: tuple[PositiveInt, ...] = Field(min_length=1)
    value: PositiveInt = Field(description="label number in predictions")


class Plan(Strict):
    """What the stages agree on. `patch_size` and `spacing` (mm) are in network axis order, coarsest axis first.

    `axis_order` says which axes of the RAS+ `(z, y, x)` volume the network's three axes are. A 2D plan's `patch_size`,
    `spacing` and topology hold the last two of them; its network sees slices along the first.
    `label_values[i]` is the number that class `i` has in the data set's own label files; class 0 is the background.
    With `regions` the network has one output a region, which may overlap; where several are predicted, the last one's
    value is written (nnU-Net v2, documentation/region_based_training.md).
    """

    format: Literal[1] = 1
    task: TaskNumber
    dataset: str
    dim: Dimensions
    channels: tuple[str, ...] = Field(min_length=1)
    classes: tuple[str, ...] = Field(min_length=1)
    label_values: Annotated[tuple[int, ...], AfterValidator(distinct_labels)]
    axis_order: Annotated[tuple[int, int, int], AfterValidator(known_axis_order)]
    patch_size: tuple[PositiveInt, ...]
    spacing: tuple[PositiveFloat, ...]
    normalization: tuple[Normalization, ...]
    nonzero_mask: bool
    topology: Topology
    training: TrainingDefaults
    regions: tuple[Region, ...] = ()
    config_hash: str = Field(description="of the task config, and of what was filled in where it is null")

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        check_plan(self)
        return self

    @property
    def foreground(self) -> tuple[str, ...]:
        """Names of all classes but the background."""
        return self.classes[1:]

    @property
    def outputs(self) -> int:
        """Output channels of the network: one a region, else one a class, the background included."""
        return len(self.regions) or len(self.classes)

    @property
    def scored(self) -> tuple[str, ...]:
        """Names of what is scored: the regions, else the classes but the background."""
        return tuple(region.name for region in self.regions) or self.foreground

    @property
    def name(self) -> str:
        """`task04_3d`: the folder name of its shards and its models."""
        return folder_name(self.task, self.dim)


def folder_name(task: str, dim: Dimensions) -> str:
    """Returns the folder of a task's shards or models, such as `task04_3d`."""
    return f"task{task}_{dim}d"


def needs_fingerprint(config: TaskConfig, dataset: Dataset, dim: Dimensions) -> list[str]:
    """Returns the names of the fields that are null in `config` and that only the data set's fingerprint can fill in.

    An empty list: `make_plan` needs no fingerprint. `spacing_3d` counts in 2D too, as the axis order follows from it.
    """
    names = [config.normalization or normalization_name(channel) for channel in dataset.channels]
    patch_size = config.patch_size_3d if dim == 3 else config.patch_size_2d
    missing = {
        "spacing_3d": config.spacing_3d is None,
        f"patch_size_{dim}d": patch_size is None,
        "ct": config.ct is None and "ct" in names,
        "nonzero_mask": config.nonzero_mask is None and "z_score" in names,
    }
    return [name for name, is_missing in missing.items() if is_missing]


def make_plan(config: TaskConfig, dataset: Dataset, dim: Dimensions, fingerprint: Fingerprint | None = None) -> Plan:
    """Returns the plan of a 2D or 3D network for `dataset` under `config`, filled in from `fingerprint` where null.

    Raises UserError where they do not fit, and ValueError where `needs_fingerprint` names a field and there is none.
    """
    missing = needs_fingerprint(config, dataset, dim)
    if missing and fingerprint is None:
        raise ValueError(f"task {config.task}: {', '.join(missing)} null in the config, and no fingerprint given")
    spacing_zyx = config.spacing_3d or target_spacing(_known(fingerprint))
    axis_order = coarsest_first(spacing_zyx)
    spacing = tuple(spacing_zyx[axis] for axis in axis_order)
    if dim == 2 and config.spacing_2d:
        spacing = (spacing[0], *config.spacing_2d)
    network = _stated_network(config, dim, axis_order, spacing[-dim:])
    if network is None:
        network = _planned_network(config, dataset, dim, axis_order, spacing, _known(fingerprint))
    uses_mask = config.nonzero_mask
    if uses_mask is None:
        uses_mask = "nonzero_mask" in missing and needs_nonzero_mask(_known(fingerprint))
    patch_size, topology = network
    plan = validated(
        dataset.folder,
        "correct dataset.json or the config",
        lambda: Plan(
            task=config.task,
            dataset=config.dataset,
            dim=dim,
            channels=dataset.channels,
            classes=tuple(dataset.labels.values()),
            label_values=tuple(dataset.labels),
            axis_order=axis_order,
            patch_size=patch_size,
            spacing=spacing[-dim:],
            normalization=tuple(
                _normalization(config, channel, index, fingerprint) for index, channel in enumerate(dataset.channels)
            ),
            nonzero_mask=uses_mask,
            topology=topology,
            training=config.training,
            regions=_regions(config, dataset),
            config_hash="",
        ),
    )
    # Of a config without regions, for nnU-Net, mirrored along all axes the hash is that of versions that knew no other.
    unused: dict[str, bool | dict[str, bool]] = {}
    if not plan.regions:
        unused["regions"] = True
    older = {"network": config.training.network == "nnunet", "mirror_axes": config.training.mirror_axes == AXES}
    if any(older.values()):
        unused["training"] = {name: True for name, is_older in older.items() if is_older}
    content = config.model_dump_json(exclude=unused) + (plan.model_dump_json(exclude=unused) if missing else "")
    return plan.model_copy(update={"config_hash": hashlib.sha256(content.encode()).hexdigest()[:16]})


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


def _stated_network(
    config: TaskConfig, dim: Dimensions, axis_order: tuple[int, int, int], spacing: tuple[float, ...]
) -> tuple[tuple[int, ...], Topology] | None:
    """Patch (voxels) and topology in network order as the config has them; None where its patch is null."""
    stated, topology = (
        (config.patch_size_3d, config.topology_3d) if dim == 3 else (config.patch_size_2d, config.topology_2d)
    )
    if stated is None:
        return None
    axes = axis_order if dim == 3 else (0, 1)  # in 2D the config leaves out the first axis
    patch_size = tuple(stated[axis] for axis in axes)
    if topology is not None:
        strides = tuple(tuple(stride[axis] for axis in axes) for stride in topology.strides)
        kernels = tuple(tuple(kernel[axis] for axis in axes) for kernel in topology.kernels)
        return patch_size, Topology(strides=strides, kernels=kernels, features=topology.features)
    by_rule = plan_topology(patch_size, spacing, config.features)
    for size, factor in zip(patch_size, by_rule.downsampling, strict=True):
        if size % factor:
            raise UserError(
                f"task {config.task}: patch_size_{dim}d {list(patch_size)} is not a multiple of "
                f"{by_rule.downsampling}, by which the network downsamples; change it in the config"
            )
    return patch_size, by_rule


def _planned_network(
    config: TaskConfig,
    dataset: Dataset,
    dim: Dimensions,
    axis_order: tuple[int, int, int],
    spacing: tuple[float, ...],
    fingerprint: Fingerprint,
) -> tuple[tuple[int, ...], Topology]:
    """Patch (voxels) and topology as the planner makes them, with the config's features where it has any."""
    network = plan_for_dataset(fingerprint, len(dataset.labels), dim, axis_order, spacing)
    topology = network.topology
    if config.features:
        stages = len(topology.strides)
        features = (config.features + config.features[-1:] * stages)[:stages]
        topology = topology.model_copy(update={"features": features})
    return network.patch_size, topology


def _regions(config: TaskConfig, dataset: Dataset) -> tuple[Region, ...]:
    numbers = list(dataset.labels)
    regions = []
    for name, stated in (config.regions or {}).items():
        unknown = sorted(set(stated.labels) - set(numbers))
        if unknown:
            raise UserError(
                f"task {config.task}: region {name}: labels {unknown} are not among those of {dataset.folder.name}, "
                f"{numbers}; correct the config"
            )
        classes = tuple(index for index, number in enumerate(numbers) if number in stated.labels)
        regions.append(Region(name=name, classes=classes, value=stated.value))
    return tuple(regions)


def _normalization(config: TaskConfig, channel: str, index: int, fingerprint: Fingerprint | None) -> Normalization:
    name = config.normalization or normalization_name(channel)
    if name != "ct":
        return Normalization(name=name)
    ct = config.ct or ct_intensities(_known(fingerprint), index)
    return Normalization(name="ct", **ct.model_dump())


def _known(fingerprint: Fingerprint | None) -> Fingerprint:
    if fingerprint is None:
        raise ValueError("a number must come from the fingerprint, and there is none")
    return fingerprint
