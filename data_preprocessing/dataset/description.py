"""The model of `dataset.json`, from which its JSON Schema is made."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"
Number = Annotated[str, Field(pattern=r"^\d+$")]
Path = Annotated[str, Field(min_length=1)]
ClassNumbers = NonNegativeInt | Annotated[list[NonNegativeInt], Field(min_length=1)]


class TrainingEntry(BaseModel):
    """One training case."""

    model_config = ConfigDict(extra="allow")

    image: Path | Annotated[list[Path], Field(min_length=1)] = Field(
        description="file or DICOM folder, from the folder of dataset.json or absolute; a list has one per channel"
    )
    label: Path = Field(description="label map on the grid of the image")
    name: Path | None = Field(default=None, description="of the case; else the image's, without its suffix")


class Description(BaseModel):
    """`dataset.json`: the channels, classes and cases of a data set. Further keys are allowed and not read."""

    model_config = ConfigDict(extra="allow")

    name: str | None = Field(default=None, description="of the data set, for people")
    description: str | None = None
    modality: dict[Number, str] | None = Field(
        default=None, description='name of each channel by its number: {"0": "CT"}; or give channel_names'
    )
    channel_names: dict[Number, str] | None = Field(default=None, description="the same, as nnU-Net v2 calls it")
    labels: dict[str, str | ClassNumbers] = Field(
        description='class names by number, {"0": "background", "1": "liver"}, or numbers by name; a region is a list',
    )
    regions_class_order: list[NonNegativeInt] | None = Field(
        default=None, description="number that a prediction has for each region, in the order of labels"
    )
    values: dict[str, NonNegativeInt] | None = Field(
        default=None, description="number that a class has in the label files, where it is another than in labels"
    )
    numTraining: NonNegativeInt | None = None
    numTest: NonNegativeInt | None = None
    training: list[TrainingEntry] = Field(min_length=1)
    test: list[Path | TrainingEntry | dict[str, object]] | None = Field(
        default=None, description="images without a label, never trained on"
    )
    groups: dict[str, str] | None = Field(
        default=None, description="patient or site of each case by its name: cases of one group lie in one fold"
    )


def dataset_schema() -> dict[str, object]:
    """Returns the JSON Schema of `dataset.json`, for editors."""
    schema = Description.model_json_schema()
    schema["anyOf"] = [{"required": ["modality"]}, {"required": ["channel_names"]}]
    return {
        "$schema": SCHEMA_ID,
        "title": "dataset.json of nnunet-tf",
        **{k: v for k, v in schema.items() if k != "title"},
    }
