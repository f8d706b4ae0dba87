"""The cases that a layout finds, before anything of them is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.text import first_few
from data_preprocessing.dataset.dataset import Case
from data_preprocessing.images.formats.registry import files_of

Split = Literal["training", "validation", "test"]
Pattern: TypeAlias = tuple[str, str]  # name of a channel, and the glob of its files


@dataclass(frozen=True)
class FoundCase:
    """One scan. `images` is one file or DICOM folder with all channels, or one per channel in order.

    Its label is a label map (`label`), a DICOM segmentation (`segmentation`), or one binary mask per structure
    (`masks`, by name); none of them where there is no label. `group` names the patient or site, empty where unknown.
    """

    name: str
    images: tuple[Path, ...]
    label: Path | None = None
    segmentation: Path | None = None
    masks: Mapping[str, Path] = field(default_factory=dict)
    group: str = ""
    split: Split = "training"

    @property
    def has_label(self) -> bool:
        """Whether there is a label of any kind."""
        return self.label is not None or self.segmentation is not None or bool(self.masks)

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that are read of the case, those in DICOM folders and those that headers name among them."""
        labels = [path for path in (self.label, self.segmentation, *self.masks.values()) if path]
        return tuple(dict.fromkeys(file for path in (*self.images, *labels) for file in files_of(path)))

    def as_case(self) -> Case:
        """Returns the case as the rest of the program knows it."""
        return Case(self.name, self.images, self.label)


@dataclass(frozen=True)
class Layout:
    """All cases of a source, sorted by name, and what its own files say about them.

    `channels` are the names of the channels and `labels` the numbers of the classes by name, as nnU-Net writes them
    (a region is a list of numbers); both are empty where the source does not say. `regions_class_order` is nnU-Net's.
    `notes` list what was skipped. `folds` are the splits that the source states, as nnU-Net writes them.
    """

    kind: str
    cases: tuple[FoundCase, ...]
    channels: tuple[str, ...] = ()
    labels: Mapping[str, int | list[int]] = field(default_factory=dict)
    regions_class_order: Sequence[int] | None = None
    notes: tuple[str, ...] = ()
    folds: Sequence[Mapping[str, Sequence[str]]] = ()


def only_match(folder: Path, pattern: str, option: str) -> Path | None:
    """Returns the one path in `folder` that a glob matches, None where there is none.

    Raises UserError, naming the option and the files, where there are several.
    """
    try:
        found = sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))
    except (ValueError, NotImplementedError):  # such as an absolute path
        raise UserError(
            f'{option} {pattern}: not a pattern of files in a folder; write it like "*_t1.nii.gz"'
        ) from None
    if len(found) > 1:
        listed = first_few([path.relative_to(folder) for path in found])
        raise UserError(f"{folder}: {option} {pattern} matches {listed}; give a pattern that matches one of them")
    return found[0] if found else None
