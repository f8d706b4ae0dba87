"""A raw data set folder of nnU-Net v2, read as it is."""

from pathlib import Path

from pydantic import BaseModel, Field

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import read_model
from data_preprocessing.dataset.dataset import Case, Dataset, read_json, read_labels, read_regions
from data_preprocessing.dataset.splits import stated_groups
from data_preprocessing.images.checks.finding import refuse
from data_preprocessing.images.checks.listing import check_names
from data_preprocessing.images.formats.registry import SUFFIXES, is_image, is_picture
from data_preprocessing.images.image_file import COLOURS

CHANNEL_DIGITS = 4  # case_0000.nii.gz
IGNORED_LABEL = "ignore"


class RawDescription(BaseModel):
    """What `dataset.json` of an nnU-Net v2 raw folder must say; its further fields are not needed."""

    channel_names: dict[str, str] = Field(min_length=1)
    labels: dict[str, int | list[int]]
    file_ending: str
    dataset: object = Field(default=None, description="a list of files that stands for the folders")


def load_nnunet_raw(folder: Path) -> Dataset:
    """Returns the data set in `folder`, its training cases sorted by name.

    The layout: `dataset.json` with `channel_names`, `labels` (name to number) and `file_ending`;
    `imagesTr/case_0000.nii.gz`, one file a channel (a colour picture: for all three); `labelsTr/case.nii.gz`. Labels
    that are lists of numbers are regions, written in predictions as `regions_class_order` says. Source: nnU-Net v2,
    `documentation/dataset_format.md` and `region_based_training.md`. A wrong `numTraining` is no error here. Raises
    UserError where a file is missing or named otherwise, and for what is not supported: endings of no known format,
    the ignore label.
    """
    path = folder / "dataset.json"
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give an nnU-Net v2 raw folder, such as nnUNet_raw/Dataset004_Mine")
    description = read_model(path, RawDescription, "correct it as nnU-Net v2 describes, or leave out --from-nnunet")
    channels = _channels(description, path)
    if IGNORED_LABEL in description.labels:
        raise UserError(f"{path}: the label {IGNORED_LABEL} is not supported; give those voxels a class or background")
    if description.file_ending not in SUFFIXES:
        raise UserError(
            f"{path}: file_ending {description.file_ending}: not read; convert to one of {' '.join(SUFFIXES)}"
        )
    if description.dataset is not None:
        raise UserError(f"{path}: a list of files under dataset is not supported; put them into imagesTr and labelsTr")
    cases = tuple(
        _case(folder, name, files, len(channels), description.file_ending)
        for name, files in sorted(_files_by_case(folder / "imagesTr", description.file_ending).items())
    )
    refuse(path, *check_names([case.name for case in cases]))
    groups = stated_groups(path, read_json(path), {case.name for case in cases})
    return Dataset(folder, channels, read_labels(path), cases, read_regions(path), groups)


def _channels(description: RawDescription, path: Path) -> tuple[str, ...]:
    numbers = [str(number) for number in range(len(description.channel_names))]
    if set(description.channel_names) != set(numbers):
        raise UserError(f"{path}: channel_names must be numbered 0, 1, 2, ...; correct it")
    return tuple(description.channel_names[number] for number in numbers)


def _files_by_case(images: Path, ending: str) -> dict[str, dict[int, Path]]:
    """The files of each case by channel number."""
    if not images.is_dir():
        raise UserError(f"{images}: no such folder; put the training images there")
    cases: dict[str, dict[int, Path]] = {}
    for path in images.iterdir():
        if not path.name.endswith(ending) or path.name.startswith("."):
            if is_image(path):
                raise UserError(
                    f"{path}: an image that does not end in {ending}, the file_ending; convert or remove it"
                )
            continue
        name, _, number = path.name.removesuffix(ending).rpartition("_")
        if not name or len(number) != CHANNEL_DIGITS or not number.isdecimal():
            raise UserError(f"{path}: its name lacks the channel; call it case_0000{ending}")
        cases.setdefault(name, {})[int(number)] = path
    if not cases:
        raise UserError(f"{images}: holds no file ending in {ending}; put the training images there")
    return cases


def _case(folder: Path, name: str, files: dict[int, Path], channels: int, ending: str) -> Case:
    in_colours = channels == COLOURS and set(files) == {0} and is_picture(files[0])
    for number in range(1 if in_colours else channels):
        if number not in files:
            missing = folder / "imagesTr" / f"{name}_{number:04d}{ending}"
            raise UserError(f"{missing}: no such file, but dataset.json names {channels} channels; restore it")
    if len(files) > channels:
        raise UserError(f"{files[max(files)]}: a channel that dataset.json does not name; name it or remove the file")
    label = folder / "labelsTr" / f"{name}{ending}"
    if not label.is_file():
        raise UserError(f"{label}: no such file, but imagesTr has the case; restore it or remove the images")
    return Case(name, tuple(files[number] for number in sorted(files)), label)
