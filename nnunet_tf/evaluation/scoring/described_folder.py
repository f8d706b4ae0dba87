"""Read and write `dataset.json` of a folder of predictions: what its label numbers stand for."""

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from data_preprocessing.common.colors import distinct_colors
from data_preprocessing.common.files import read_model

DESCRIPTION_NAME = "dataset.json"
WRITER: Final = "nnunet-tf predict"


class DescribedStructure(BaseModel):
    """One structure: its label numbers in the predictions, and in the label files that the model was trained on."""

    name: str
    value: int
    predicted: tuple[int, ...]
    true: tuple[int, ...]


class FolderDescription(BaseModel):
    """The content of the file. `labels`, by label number, are those of the segmentations in the folder.

    `structures` are what to score: regions of a model that was trained on them, else classes. `true_labels` are the
    numbers in the model's label files where they differ from `labels`.
    """

    model_config = ConfigDict(extra="ignore")

    written_by: Literal["nnunet-tf predict"] = WRITER
    name: str
    channel_names: dict[str, str]
    labels: dict[int, str]
    colors: dict[int, str]
    structures: list[DescribedStructure]
    true_labels: dict[int, str] | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels of the scans, in order."""
        return tuple(self.channel_names.values())


def colors_of(labels: dict[int, str]) -> dict[int, str]:
    """Returns the color of each label number but the background."""
    foreground = [number for number in labels if number]
    return dict(zip(foreground, distinct_colors(len(foreground)), strict=True))


def is_description(path: Path) -> bool:
    """Returns whether a dataset.json was written by prediction, and is not that of a data set."""
    try:
        return f'"written_by": "{WRITER}"' in path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return False


def read_description(folder: Path) -> FolderDescription | None:
    """Returns what prediction wrote into `folder`, None where it wrote nothing.

    Raises UserError where the file is damaged.
    """
    path = folder / DESCRIPTION_NAME
    if not is_description(path):
        return None
    return read_model(path, FolderDescription, "predict again, or remove the file")
