"""The parts of a `dataset.json`, each with an answer to the usual mistakes in the user's own names."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_preprocessing.common.script import INSTALLED
from data_preprocessing.images.checks.finding import Row, Unusable, unusable

OTHER_KEYS = ("segmentation", "seg", "mask", "labels", "lbl", "gt", "groundtruth", "target")  # for "label"
IMAGE_KEYS = ("images", "img", "scan", "volume", "data")
EXAMPLES = {"modality": {"0": "CT"}, "channel_names": {"0": "CT"}, "labels": {"0": "background", "1": "organ"}}


@dataclass(frozen=True)
class TrainingFiles:
    """One training case as it is listed: its name if stated, and paths as they stand there."""

    name: str | None
    images: tuple[str, ...]
    label: str


def training_entries(path: Path, content: dict[str, Any]) -> list[TrainingFiles]:
    """Returns the entries of `training` in the dataset.json at `path`.

    Raises UserError where it is missing or an entry has another form; the remedy shows the entry as it should be.
    """
    listed = content.get("training")
    if listed is None and "channel_names" in content:
        remedy = 'add "file_ending": ".nii.gz" if it is an nnU-Net v2 raw folder, or list the cases under training'
        raise unusable(path, Row.LISTING, "has no list training", remedy)
    if not isinstance(listed, list):
        remedy = f'add "training": [{_shown("imagesTr/case_1.nii.gz", "labelsTr/case_1.nii.gz")}, ...]'
        raise unusable(path, Row.LISTING, "has no list training", remedy)
    return [_entry(path, index, entry) for index, entry in enumerate(listed, start=1)]


def _entry(path: Path, index: int, entry: object) -> TrainingFiles:
    if isinstance(entry, str):
        problem = f"training entry {index} is a text ({entry}), not image and label"
        raise unusable(path, Row.LISTING, problem, f"write {_shown(entry, _label_of(path, entry))}")
    if isinstance(entry, list) and len(entry) == 2 and all(isinstance(each, str) for each in entry):
        raise unusable(path, Row.LISTING, f"training entry {index} is a list", f"write {_shown(*entry)}")
    if not isinstance(entry, dict):
        remedy = f"write {_shown('imagesTr/case_1.nii.gz', 'labelsTr/case_1.nii.gz')}"
        raise unusable(path, Row.LISTING, f"training entry {index} is no pair of image and label", remedy)
    for key, others in (("image", IMAGE_KEYS), ("label", OTHER_KEYS)):
        if key not in entry:
            raise _without(path, index, entry, key, next((other for other in others if other in entry), None))
    images = entry["image"] if isinstance(entry["image"], list) else [entry["image"]]
    texts = [*images, entry["label"], entry.get("name") or "-"]
    if not images or not all(isinstance(text, str) and text for text in texts):
        raise unusable(path, Row.LISTING, f"training entry {index}: image, label or name is no text", "correct it")
    return TrainingFiles(entry.get("name"), tuple(images), entry["label"])


def _without(path: Path, index: int, entry: dict[str, object], key: str, other: str | None) -> Unusable:
    if other:
        corrected = json.dumps({key if name == other else name: value for name, value in entry.items()})
        return unusable(path, Row.LISTING, f"training entry {index} has {other} for {key}", f"write {corrected}")
    image = entry.get("image")
    example = {"image": "imagesTr/case_1.nii.gz", "label": "labelsTr/case_1.nii.gz"} | entry
    if key == "label" and isinstance(image, str):
        example["label"] = _label_of(path, image)
    return unusable(path, Row.LISTING, f"training entry {index} has no {key}", f"write {json.dumps(example)}")


def _label_of(path: Path, image: str) -> str:
    """Where the label of an image would be; a file that is there first."""
    name = Path(image).name
    beside = [
        folder for folder in ("labelsTr", "labels", "masks", "segmentations") if (path.parent / folder / name).exists()
    ]
    return f"{beside[0] if beside else 'labelsTr'}/{name}"


def _shown(image: str, label: str) -> str:
    return json.dumps({"image": image, "label": label})


def named_numbers(content: dict[str, Any], path: Path, key: str) -> dict[int, str]:
    """Returns number to name, in rising order, from MSD's `{"1": "liver"}` or nnU-Net v2's `{"liver": 1}`.

    Raises UserError where `key` is missing or has another form; the remedy shows it as it should be.
    """
    stated = content.get(key)
    if key not in content:
        raise unusable(path, Row.LISTING, f"has no {key}", f'add "{key}": {json.dumps(EXAMPLES[key])}')
    names = [stated] if isinstance(stated, str) else stated
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        if key == "labels" and names[0].strip().lower() != "background":
            names = ["background", *names]
        remedy = f'write "{key}": {json.dumps(_numbered(names))}'
        raise unusable(path, Row.LISTING, f"{key} is a {'list' if isinstance(stated, list) else 'text'}", remedy)
    try:
        pairs = [(key, value) if key.isdecimal() else (value, key) for key, value in stated.items()]  # type: ignore[union-attr]
        numbered = dict(sorted((int(number), str(name)) for number, name in pairs))
    except (AttributeError, TypeError, ValueError):
        problem = f"{key} must map numbers to names, such as {json.dumps(EXAMPLES[key])}"
        raise unusable(path, Row.LISTING, problem, "correct it") from None
    if len(numbered) < len(pairs):
        raise unusable(path, Row.LISTING, f"{key} has two names of one number", "correct it")
    return numbered


def _numbered(names: Sequence[str]) -> dict[str, str]:
    return {str(number): name for number, name in enumerate(names)}


def how_to_make(folder: Path) -> str:
    """Returns the remedy for a folder without a dataset.json: the command that makes one of what is there."""
    options = paired_options(folder) or f"{shlex.quote(str(folder))} --image ct.nii.gz --label seg.nii.gz"
    return f"make one with: {INSTALLED} dataset {options}"


def paired_options(folder: Path) -> str:
    """Returns the options that name the folders of images and labels in `folder`, empty where it has none."""
    try:
        folders = sorted(each.name for each in folder.iterdir() if each.is_dir() and each.name[0] != ".")
    except OSError:
        return ""
    images = [name for name in folders if name.lower().startswith(("image", "scan", "img", "ct", "vol"))]
    labels = [name for name in folders if name.lower().startswith(("label", "mask", "seg", "annot", "gt"))]
    if not (images and labels):
        return ""
    return shlex.join(["--images", str(folder / images[0]), "--labels", str(folder / labels[0])])
