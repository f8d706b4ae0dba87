"""What `configs/*.yaml` may say about a task, and how `--task` finds the file."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    field_serializer,
    model_validator,
)

from data_preprocessing.common.defaults import AXES, OWN_CONFIGS, Augmentation, NetworkName, known_axes
from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import validated
from data_preprocessing.common.script import user_path

_CODE = Path(__file__).resolve().parents[2]
# Beside the packages in a checkout, in one of them where it was installed.
SHIPPED_CONFIGS = _CODE / "configs" if (_CODE / "pyproject.toml").is_file() else _CODE / "nnunet_tf" / "configs"

Dimensions = Literal[2, 3]
NormalizationName = Literal["ct", "z_score", "rescale_0_1", "rgb", "none"]


class Strict(BaseModel):
    """A model that refuses fields it does not know, so that a misspelt one is told and not ignored, and NaN or Inf."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


MirrorAxes = Annotated[str, AfterValidator(known_axes)]
"""Letters of the axes of the RAS+ volume, such as `zy`, or `none`."""


class CTIntensities(Strict):
    """Foreground voxel statistics of a whole CT data set, in Hounsfield units."""

    low: float = Field(description="0.5 percentile; lower voxels are clipped to it")
    high: float = Field(description="99.5 percentile; higher voxels are clipped to it")
    mean: float
    std: PositiveFloat

    @model_validator(mode="after")
    def _ordered(self) -> "CTIntensities":
        if self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must be under high ({self.high:g})")
        return self


class TrainingDefaults(Strict):
    """What to train, how long and how fast, where the command line does not say.

    For another network than nnU-Net, what a config leaves out is that network's own, in
    `nnunet_tf.training.config.recipes`.
    """

    network: NetworkName = "nnunet"
    epochs: PositiveInt = 100
    steps_per_epoch: PositiveInt = 250
    learning_rate: PositiveFloat = 1e-3
    batch_size_2d: PositiveInt = 64
    batch_size_3d: PositiveInt = 2
    augmentation: Augmentation = "full"
    mirror_axes: MirrorAxes = Field(default=AXES, description="mirrored in augmentation, flipped with --tta")
    validate_every: NonNegativeInt = Field(default=10, description="epochs; 0: only after the last")

    def batch_size(self, dim: Dimensions) -> int:
        """Returns the patches a step and worker of a 2D or 3D network."""
        return self.batch_size_2d if dim == 2 else self.batch_size_3d


class StatedTopology(Strict):
    """The stages of a U-Net as a config states them, the highest resolution first; axes in array order."""

    strides: Annotated[tuple[tuple[PositiveInt, ...], ...], Field(min_length=1)]
    kernels: tuple[tuple[PositiveInt, ...], ...]
    features: tuple[PositiveInt, ...]

    @model_validator(mode="after")
    def _one_entry_a_stage(self) -> "StatedTopology":
        stages = len(self.strides)
        if not stages == len(self.kernels) == len(self.features):
            raise ValueError(
                f"strides ({stages}), kernels ({len(self.kernels)}) and features ({len(self.features)}) must have as "
                "many entries, one a stage"
            )
        if any(step != 1 for step in self.strides[0]):
            raise ValueError(f"the first stage keeps the resolution: its stride is all 1, not {list(self.strides[0])}")
        if any(size % 2 == 0 for kernel in self.kernels for size in kernel):
            raise ValueError("kernels must be odd")
        return self

    def check_patch(self, patch: Sequence[int]) -> None:
        """Raises ValueError where `patch` has another number of axes or cannot be divided by the strides."""
        if any(len(entry) != len(patch) for entry in (*self.strides, *self.kernels)):
            raise ValueError(f"each stride and kernel must have {len(patch)} numbers")
        factors = [math.prod(steps) for steps in zip(*self.strides, strict=True)]
        if any(size % factor for size, factor in zip(patch, factors, strict=True)):
            raise ValueError(f"its strides divide by {factors}, the patch {list(patch)} is not a multiple of that")


TaskNumber = Annotated[str, Field(pattern=r"^\d{2,3}$")]


class StatedRegion(Strict):
    """A structure that is predicted as a whole, such as a tumour with all its parts. 0, the background, is in none."""

    labels: Annotated[tuple[PositiveInt, ...], Field(min_length=1, description="numbers in the label files")]
    value: PositiveInt = Field(description="number that a prediction has where the region is the last declared")


def _distinct_values(regions: dict[str, StatedRegion]) -> dict[str, StatedRegion]:
    owners: dict[int, str] = {}
    for name, region in regions.items():
        if region.value in owners:
            raise ValueError(f"{owners[region.value]} and {name} both have the value {region.value}; give each its own")
        owners[region.value] = name
    return regions


StatedRegions = Annotated[dict[str, StatedRegion], Field(min_length=1), AfterValidator(_distinct_values)]
"""Regions by name. Their order counts: where several are predicted, the value of the last is written."""


class TaskConfig(Strict):
    """One task: the only home of a number about its data set.

    Patch sizes are voxels and spacings millimetres, both in array order `(z, y, x)` of the RAS+ volume; in 2D they are
    those of the two in-plane axes, `(y, x)` where the slices are axial. What is null is filled in from the fingerprint.
    """

    task: TaskNumber
    dataset: Annotated[str, Field(min_length=1, description="folder of the data set under --data")]
    patch_size_3d: tuple[PositiveInt, PositiveInt, PositiveInt] | None
    spacing_3d: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None
    patch_size_2d: tuple[PositiveInt, PositiveInt] | None
    spacing_2d: tuple[PositiveFloat, PositiveFloat] | None = Field(description="null: that of 3D, in plane")
    ct: CTIntensities | None = Field(default=None, description="null: collected, where a channel is CT")
    normalization: NormalizationName | None = Field(default=None, description="null: by the modality of each channel")
    nonzero_mask: bool | None = Field(
        default=None, description="z-score over the nonzero region only, 0 stays outside; null: by how much is zero"
    )
    features: tuple[PositiveInt, ...] | None = Field(
        default=None,
        min_length=1,
        description="channels a stage, the last for all that follow; those of more stages are left; null: 32 doubling",
    )
    topology_3d: StatedTopology | None = Field(default=None, description="null: by rule from patch and spacing")
    topology_2d: StatedTopology | None = None
    regions: StatedRegions | None = Field(default=None, description="null: the classes of the data set")
    training: TrainingDefaults = TrainingDefaults()

    @property
    def default_dim(self) -> Dimensions:
        """2 where only a 2D network is stated, else 3."""
        return 2 if self.patch_size_3d is None and self.patch_size_2d is not None else 3

    @field_serializer("regions", mode="wrap")
    def _regions_in_order(
        self, regions: object, handler: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> object:
        """As pairs where two configs are compared in Python: mappings are equal in any order, these are not."""
        content = handler(regions)
        return list(content.items()) if content and not info.mode_is_json() else content

    @model_validator(mode="after")
    def _topology_fits(self) -> "TaskConfig":
        for dim, topology, patch in (
            (3, self.topology_3d, self.patch_size_3d),
            (2, self.topology_2d, self.patch_size_2d),
        ):
            if topology is None:
                continue
            if self.features is not None:
                raise ValueError(f"features and topology_{dim}d both state the channels a stage; remove features")
            if patch is None:
                raise ValueError(f"topology_{dim}d needs its patch_size_{dim}d")
            try:
                topology.check_patch(patch)
            except ValueError as error:
                raise ValueError(f"topology_{dim}d: {error}") from None
        return self


def load_task(task: str) -> TaskConfig:
    """Returns the config of `--task`: a number (`4`, `04`), or the path of a YAML file.

    A number is looked for in `configs/` of the working folder, then among the configs that come with the program.

    Raises UserError for an unknown task or a config that does not hold together.
    """
    path = _config_path(task)
    remedy = f"correct it (see {SHIPPED_CONFIGS / 'task04.yaml'} for an example)"
    return validated(path, remedy, lambda: TaskConfig.model_validate(_read_yaml(path)))


def _config_path(task: str) -> Path:
    if task.isdecimal():
        name = f"task{int(task):02d}.yaml"
        for folder in (OWN_CONFIGS, SHIPPED_CONFIGS):
            if (folder / name).is_file():
                return folder / name
        found = (path for folder in (OWN_CONFIGS, SHIPPED_CONFIGS) for path in folder.glob("task*.yaml"))
        known = ", ".join(sorted({path.stem.removeprefix("task") for path in found}))
        raise UserError(
            f"--task {task}: no {name} in {OWN_CONFIGS.absolute()} or {SHIPPED_CONFIGS}; choose one of {known}, or "
            "give a config file's path"
        )
    path = user_path(task)
    if path.is_file():
        return path
    number = re.match(r"(?:Task|Dataset)(\d+)", task)
    remedy = f"give its number, --task {number[1]}" if number else "give a number or a config file's path"
    raise UserError(f"--task {task}: neither a task number nor an existing file; {remedy}")


def _read_yaml(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date such as 2024-13-45
        first_line = str(error).splitlines()[0]
        raise UserError(f"{path}: not valid YAML ({first_line}); correct it") from None
