"""What `configs/*.yaml` may say about a task, and how `--task` finds the file."""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from data_preprocessing.errors import UserError
from data_preprocessing.files import validated

CONFIG_FOLDER = Path(__file__).resolve().parent.parent / "configs"

Dimensions = Literal[2, 3]
NormalizationName = Literal["ct", "z_score", "rescale_0_1", "rgb", "none"]


class Strict(BaseModel):
    """A model that refuses fields it does not know, so that a misspelt one is told and not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CTIntensities(Strict):
    """Foreground voxel statistics of a whole CT data set, in Hounsfield units (RULES "Voxel statistics")."""

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
    """How long and how fast to train where the command line does not say."""

    epochs: PositiveInt = 100
    steps_per_epoch: PositiveInt = 250
    learning_rate: PositiveFloat = 1e-3
    batch_size_2d: PositiveInt = 64
    batch_size_3d: PositiveInt = 2

    def batch_size(self, dim: Dimensions) -> int:
        """Returns the patches a step and worker of a 2D or 3D network."""
        return self.batch_size_2d if dim == 2 else self.batch_size_3d


class TaskConfig(Strict):
    """One task: the only home of a number about its data set.

    Patch sizes are voxels and spacings millimetres, both in array order `(z, y, x)` of the RAS+ volume, `(y, x)` in 2D.
    """

    task: Annotated[str, Field(pattern=r"^\d{2,3}$")]
    dataset: Annotated[str, Field(min_length=1, description="folder of the data set under --data")]
    patch_size_3d: tuple[PositiveInt, PositiveInt, PositiveInt]
    spacing_3d: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    patch_size_2d: tuple[PositiveInt, PositiveInt]
    spacing_2d: tuple[PositiveFloat, PositiveFloat]
    ct: CTIntensities | None = None
    normalization: NormalizationName | None = Field(default=None, description="null: by the modality of each channel")
    nonzero_mask: bool = Field(default=False, description="z-score over the nonzero region only, 0 stays outside")
    features: tuple[PositiveInt, ...] | None = Field(default=None, description="channels a stage; null: 32 doubling")
    training: TrainingDefaults = TrainingDefaults()


def load_task(task: str) -> TaskConfig:
    """Returns the config of `--task`: a number (`4`, `04`) of `configs/`, or the path of a YAML file.

    Raises UserError for an unknown task or a config that does not hold together.
    """
    path = _config_path(task)
    remedy = f"correct it (see {CONFIG_FOLDER / 'task04.yaml'} for an example)"
    return validated(path, remedy, lambda: TaskConfig.model_validate(_read_yaml(path)))


def _config_path(task: str) -> Path:
    if task.isdecimal():
        path = CONFIG_FOLDER / f"task{int(task):02d}.yaml"
        if path.is_file():
            return path
        known = ", ".join(sorted(path.stem.removeprefix("task") for path in CONFIG_FOLDER.glob("task*.yaml")))
        raise UserError(f"--task {task}: {path} does not exist; choose one of {known}, or give a config file's path")
    path = Path(task)
    if path.is_file():
        return path
    raise UserError(f"--task {task}: neither a task number nor an existing file; give a number or a config file's path")


def _read_yaml(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        first_line = str(error).splitlines()[0]
        raise UserError(f"{path}: not valid YAML ({first_line}); correct it") from None
