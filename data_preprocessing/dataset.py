"""`dataset.json` of a data set folder: its channels, labels and cases."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_preprocessing.errors import UserError
from data_preprocessing.volume_io import NIFTI_SUFFIXES, case_name


@dataclass(frozen=True)
class Case:
    """One patient: the image, one file or one file a channel, and its label where there is one."""

    name: str
    images: tuple[Path, ...]
    label: Path | None = None


@dataclass(frozen=True)
class Dataset:
    """A Medical-Decathlon-style folder. `labels` maps the numbers in label files to class names, in rising order, the
    background (0) first."""

    folder: Path
    channels: tuple[str, ...]
    labels: dict[int, str]
    training: tuple[Case, ...]


def load_dataset(data: Path, name: str) -> Dataset:
    """Returns the data set in the folder `data/name`, its training cases sorted by name.

    Raises UserError when the folder or a file that dataset.json lists is missing, or dataset.json is not understood.
    """
    folder = data / name
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; unpack the data set there, or name its parent folder with --data")
    path = folder / "dataset.json"
    content = _read_json(path)
    channels = _names(content, path, "modality" if "modality" in content else "channel_names")
    try:
        entries = [(Path(entry["image"]), Path(entry["label"])) for entry in content["training"]]
    except (KeyError, TypeError):
        raise UserError(f"{path}: training is not a list of image and label, as in the MSD; correct it") from None
    cases = [_case(folder, image, label) for image, label in entries if not image.name.startswith("._")]
    if not cases:
        raise UserError(f"{path}: lists no training case; add them under training")
    if len({case.name for case in cases}) < len(cases):
        raise UserError(f"{path}: a training case is listed twice; remove one entry")
    in_order = tuple(sorted(cases, key=lambda case: case.name))
    return Dataset(folder, tuple(channels.values()), read_labels(path), in_order)


def read_labels(path: Path) -> dict[int, str]:
    """Returns the class name of each label number in a dataset.json, in rising order, background (0) first.

    Raises UserError when the file is missing, not understood, or lacks the background.
    """
    labels = _names(_read_json(path), path, "labels")
    if 0 not in labels or min(labels) < 0:
        raise UserError(f"{path}: labels must start with the background, number 0; correct it")
    return labels


def find_images(source: Path, channels: int) -> list[Case]:
    """Returns the cases to predict in `source`, a NIfTI file or a folder of them, sorted by name.

    With several channels, `name_0000.nii.gz`, `name_0001.nii.gz`, ... make one case. Raises UserError when there is
    none.
    """
    if source.is_file():
        return [Case(case_name(source), (source,))]
    if not source.is_dir():
        raise UserError(f"{source}: no such file or folder; name the images with --input")
    files = {
        case_name(path): path
        for path in sorted(source.iterdir())
        if path.name.endswith(NIFTI_SUFFIXES) and not path.name.startswith(".")
    }
    if not files:
        raise UserError(f"{source}: holds no .nii.gz or .nii file; name the images with --input")
    cases = []
    for name, path in files.items():
        stem = name[:-5]
        if name.endswith("_0000"):
            numbered = [files.get(f"{stem}_{index:04d}") for index in range(channels)]
            cases.append(Case(stem, tuple(file for file in numbered if file)))
        elif not (_is_channel_suffix(name) and f"{stem}_0000" in files):
            cases.append(Case(name, (path,)))
    return cases


def _is_channel_suffix(name: str) -> bool:
    return len(name) > 5 and name[-5] == "_" and name[-4:].isdecimal()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; a data set folder needs its dataset.json") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); correct it") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: not an object with modality, labels and training; correct it")
    return content


def _names(content: dict[str, Any], path: Path, key: str) -> dict[int, str]:
    """Number to name, in rising order, from MSD's `{"1": "liver"}` or nnU-Net v2's `{"liver": 1}`."""
    try:
        pairs = ((key, value) if key.isdecimal() else (value, key) for key, value in content[key].items())
        return dict(sorted((int(number), str(name)) for number, name in pairs))
    except (KeyError, AttributeError, TypeError, ValueError):
        raise UserError(f'{path}: {key} must map numbers to names, such as {{"0": "background"}}; correct it') from None


def _case(folder: Path, image: Path, label: Path) -> Case:
    images: tuple[Path, ...] = (folder / image,)
    name = case_name(images[0])
    if not images[0].is_file():
        images = tuple(sorted(images[0].parent.glob(f"{name}_[0-9][0-9][0-9][0-9].nii.gz")))
    for path in (*(images or (folder / image,)), folder / label):
        if not path.is_file():
            raise UserError(f"{path}: not there, but listed in dataset.json; restore it or remove its entry")
    return Case(name, images, folder / label)
