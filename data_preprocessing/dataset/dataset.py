"""`dataset.json` of a data set folder: its channels, labels and cases."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from glob import escape
from os.path import commonpath
from pathlib import Path, PurePath
from typing import Any

from pydantic import TypeAdapter, ValidationError

from data_preprocessing.common.defaults import HIGHEST_LABEL
from data_preprocessing.common.task import StatedRegion, StatedRegions
from data_preprocessing.dataset.entries import TrainingFiles, how_to_make, named_numbers, training_entries
from data_preprocessing.dataset.label_values import values_in_files
from data_preprocessing.dataset.scan_names import FIRST_CHANNEL, ScanNames, split_suffix
from data_preprocessing.dataset.series_names import name_series
from data_preprocessing.dataset.splits import stated_groups
from data_preprocessing.images.checks.finding import Row, refuse, unusable
from data_preprocessing.images.checks.listing import check_names, check_there
from data_preprocessing.images.formats.registry import case_name, files_of


@dataclass(frozen=True)
class Case:
    """One patient: the image, one file, one file a channel or the folder of a DICOM series, and its label if any."""

    name: str
    images: tuple[Path, ...]
    label: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the case, with those in the folder of a DICOM series, and those read beside a file."""
        paths = self.images if self.label is None else (*self.images, self.label)
        return tuple(dict.fromkeys(file for path in paths for file in files_of(path)))


@dataclass(frozen=True)
class Dataset:
    """A Medical-Decathlon-style folder. `labels` maps the numbers in label files to class names, in rising order, the
    background (0) first. `regions` are those that dataset.json declares; a network's are those of its config. `groups`
    maps cases to their patient or site."""

    folder: Path
    channels: tuple[str, ...]
    labels: dict[int, str]
    training: tuple[Case, ...]
    regions: dict[str, StatedRegion] | None = None
    groups: Mapping[str, str] = field(default_factory=dict)


def load_dataset(data: Path, name: str) -> Dataset:
    """Returns the data set in the folder `data/name`, its training cases sorted by name.

    Raises UserError when the folder or a file that dataset.json lists is missing, or dataset.json is not understood.
    """
    path = description_file(data, name)
    channels, labels, regions = read_channels(path), read_labels(path), read_regions(path)
    cases = list(dict.fromkeys(list_cases(path, len(channels))))  # a case that is listed again is used once
    refuse(path, *check_names([case.name for case in cases]))
    for case in cases:
        for file in (*case.images, *([case.label] if case.label else [])):
            case_name(file)
            refuse(file, *check_there(file))
    groups = stated_groups(path, read_json(path), {case.name for case in cases})
    return Dataset(path.parent, channels, labels, tuple(sorted(cases, key=lambda case: case.name)), regions, groups)


def description_file(data: Path, name: str) -> Path:
    """Returns the path of the dataset.json of `data/name`; raises UserError when there is no such folder."""
    folder = data / name
    if not folder.is_dir():
        remedy = "unpack the data set there, or name its parent folder with --data"
        raise unusable(folder, Row.LISTING, "no such folder", remedy)
    return folder / "dataset.json"


def read_channels(path: Path) -> tuple[str, ...]:
    """Returns the channel names in a dataset.json, in order; raises UserError where they are not understood."""
    content = read_json(path)
    key = "channel_names" if "channel_names" in content and "modality" not in content else "modality"
    return tuple(named_numbers(content, path, key).values())


def read_labels(path: Path) -> dict[int, str]:
    """Returns the class name of each label number in a dataset.json, in rising order, background (0) first.

    Where labels are regions, a number that is none by itself is called `label 2`. `values` changes the numbers to those
    in the label files. Raises UserError when the file is missing, not understood, or lacks the background.
    """
    content = read_json(path)
    labels = named_numbers(content | {"labels": _single_numbers(content.get("labels"))}, path, "labels")
    if len(set(labels.values())) < len(labels):  # scores go by names
        name = next(name for name, times in Counter(labels.values()).items() if times > 1)
        raise unusable(path, Row.LISTING, f"labels has two numbers for {name}", "give each class its own name")
    if 0 not in labels or min(labels) < 0:
        problem = "labels must start with the background, number 0"
        raise unusable(path, Row.LISTING, problem, 'add "0": "background" to it')
    in_files = values_in_files(path, content, labels)
    if max(in_files) > HIGHEST_LABEL:
        problem = f"labels has number {max(in_files)}, over {HIGHEST_LABEL}, the highest"
        raise unusable(path, Row.LISTING, problem, "number the classes 0, 1, 2, ...")
    return in_files


def read_regions(path: Path) -> dict[str, StatedRegion] | None:
    """Returns the regions in a dataset.json in their order, each with its value of `regions_class_order`.

    None where no label is a list of several numbers. Source: nnU-Net v2, documentation/region_based_training.md.
    Raises UserError where the two do not fit.
    """
    content = read_json(path)
    labels = content.get("labels")
    if not isinstance(labels, dict) or not any(_is_region(value) and len(set(value)) > 1 for value in labels.values()):
        return None
    numbers = {name: value if isinstance(value, list) else [value] for name, value in labels.items()}
    foreground = {name: value for name, value in numbers.items() if any(number != 0 for number in value)}
    order = content.get("regions_class_order")
    if not isinstance(order, list) or len(order) != len(foreground):
        problem = f"labels has regions, so regions_class_order must have {len(foreground)} numbers, one for each of "
        raise unusable(path, Row.LISTING, problem + ", ".join(foreground), "correct it")
    stated = {name: {"labels": value, "value": order[index]} for index, (name, value) in enumerate(foreground.items())}
    try:
        return TypeAdapter[dict[str, StatedRegion]](StatedRegions).validate_python(stated)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"region {part}: " for part in first["loc"][:1])
        raise unusable(path, Row.LISTING, f"{where}{first['msg']}", "correct labels and regions_class_order") from None


def list_cases(path: Path, channels: int) -> list[Case]:
    """Returns the training cases as a dataset.json lists them, but macOS's `._*` files; the files need not be there.

    They are called by their `name`, else as `ScanNames` has it. An image with a name, or that is a list with one file
    per channel, has these files and no others. Raises UserError when there is none, or the list is not understood.
    """
    names = ScanNames(channels)
    entries = [
        entry
        for entry in training_entries(path, read_json(path))
        if not PurePath(entry.images[0]).name.startswith("._")
    ]
    cases = [_case(path, entry, names) for entry in entries]
    if not cases:
        raise unusable(path, Row.LISTING, "lists no training case", "add them under training")
    root = Path(commonpath([case.images[0].absolute().parent for case in cases]))
    by_path = name_series(cases, [root])
    return [
        case if entry.name is not None else renamed
        for entry, case, renamed in zip(entries, cases, by_path, strict=True)
    ]


def image_files(listed: Path) -> tuple[Path, ...]:
    """Returns the files of an image that is listed as one: itself, or `name_0000.nii.gz`, ... where only they are."""
    name, suffix = split_suffix(listed)
    channels = () if listed.exists() else sorted(listed.parent.glob(f"{escape(name)}_[0-9][0-9][0-9][0-9]{suffix}"))
    return tuple(channels) or (listed,)


def read_json(path: Path) -> dict[str, Any]:
    """Returns the content of a dataset.json; raises UserError when it is missing or no JSON object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))  # Windows begins it with a mark
        json.dumps(content, ensure_ascii=False).encode()  # ValueError where a name is no valid Unicode
    except FileNotFoundError:
        raise unusable(path, Row.LISTING, "no such file", how_to_make(path.parent)) from None
    except (OSError, ValueError, RecursionError) as error:
        raise unusable(path, Row.LISTING, f"not valid JSON ({error})", "correct it") from None
    if not isinstance(content, dict):
        raise unusable(path, Row.LISTING, "not an object with modality, labels and training", "correct it")
    return content


def _is_region(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(number, int) for number in value)


def _single_numbers(labels: object) -> object:
    """Labels with one name for each number of the regions among them; what is malformed stays as it is."""
    if not isinstance(labels, dict):
        return labels
    united = {number for value in labels.values() if _is_region(value) for number in value}
    single = {
        name: value[0] if _is_region(value) else value
        for name, value in labels.items()
        if not _is_region(value) or len(set(value)) == 1
    }
    unnamed = sorted(united - {value for value in single.values() if isinstance(value, int)})
    return single | {f"label {number}": number for number in unnamed}


def _case(path: Path, entry: TrainingFiles, names: ScanNames) -> Case:
    images = tuple(path.parent / image for image in entry.images)
    label = path.parent / entry.label
    if entry.name is not None:
        return Case(entry.name, images, label)
    if len(images) > 1:
        return Case(split_suffix(images[0])[0].removesuffix(FIRST_CHANNEL), images, label)
    return Case(*_scan(images[0], names), label)


def _scan(image: Path, names: ScanNames) -> tuple[str, tuple[Path, ...]]:
    """Name and files of an image that is listed by its file, by a channel's, or by what its channel files share."""
    return names.scan(image) if image.exists() else (split_suffix(image)[0], image_files(image))
