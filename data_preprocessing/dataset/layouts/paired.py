"""Two folders, one of images and one of labels, whose files belong together by what their names share."""

from collections.abc import Sequence
from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.text import counted, first_few
from data_preprocessing.dataset.layouts.dicom_tree import find_dicom, segmentations_in
from data_preprocessing.dataset.layouts.model import FoundCase, Layout, Pattern
from data_preprocessing.dataset.layouts.pairing import pair_names
from data_preprocessing.dataset.layouts.patterns import find_by_patterns
from data_preprocessing.dataset.scan_names import NUMBERED
from data_preprocessing.dataset.scans import find_files
from data_preprocessing.images.formats.dicom import series_folders
from data_preprocessing.images.formats.dicom_segments import is_segmentation
from data_preprocessing.images.formats.registry import is_image

LIST_PAIRS = "rename the files, or list image and label of each case in a file for --table"


def find_paired(images: Path, labels: Path, channels: Sequence[Pattern] = ()) -> Layout:
    """Returns the images in one folder, each with the label in the other whose name fits.

    With `channels` the images have one file each of those patterns. Otherwise files that end in `_0000`, `_0001`, ...
    are the channels of one case where all cases have the same. DICOM segmentations of DICOM series need no names: they
    say which series they are of. Raises UserError, naming the files, where a label fits
    no image or several.
    """
    if not labels.is_dir():
        raise UserError(f"{labels}: no such folder; name that of the labels with --labels")
    if not channels and segmentations_in(labels) and series_folders(images):
        return find_dicom(images, labels)
    if channels:
        layout = find_by_patterns(images, channels)
        found = {case.name: case.images for case in layout.cases}
    segmented = _label_files(labels)
    if not channels:
        found = _channels(find_files(images), len(segmented))
    pairing = pair_names(list(found), list(segmented))
    if pairing.ambiguous:
        raise _unclear(labels, pairing.ambiguous, found, segmented)
    label_of = {image: segmented[label] for label, image in pairing.pairs.items()}
    cases = tuple(_case(name, files, label_of.get(name)) for name, files in sorted(found.items()))
    without = [case.name for case in cases if not case.has_label]
    notes = (f"without a label: {first_few(without)} ({counted(len(without), 'image')})",) if without else ()
    return Layout("paired folders", cases, tuple(name for name, _ in channels), notes=notes)


def _case(name: str, images: tuple[Path, ...], label: Path | None) -> FoundCase:
    if label is not None and is_segmentation(label):
        return FoundCase(name, images, segmentation=label)
    return FoundCase(name, images, label=label)


def _label_files(folder: Path) -> dict[str, Path]:
    """Label maps and DICOM segmentations by their names; segmentations further below by their paths."""
    segmentations = segmentations_in(folder)
    named = {"-".join(path.relative_to(folder).with_suffix("").parts): path for path in segmentations}
    if len(named) < len(segmentations):
        raise UserError(f"{folder}: two segmentations differ in their suffix only; rename one")
    has_maps = any(is_image(path) for path in folder.iterdir())
    return named | (find_files(folder) if has_maps or not named else {})


def _channels(files: dict[str, Path], labels: int) -> dict[str, tuple[Path, ...]]:
    """The files of each case in channel order; names without the number where all files have one.

    `scan_0000` to `scan_0019` alone are channels for a single label only, else numbered scans.
    """
    numbered = {name: NUMBERED.fullmatch(name) for name in files}
    by_case: dict[str, dict[int, Path]] = {}
    for name, match in numbered.items():
        if match:
            by_case.setdefault(match[1], {})[int(match[2])] = files[name]
    numbers = {tuple(sorted(each)) for each in by_case.values()}
    are_channels = all(numbered.values()) and (len(by_case) > 1 or labels == 1)
    if not are_channels or numbers != {tuple(range(len(next(iter(numbers)))))}:
        return {name: (path,) for name, path in files.items()}
    return {name: tuple(each[number] for number in sorted(each)) for name, each in by_case.items()}


def _unclear(
    folder: Path,
    ambiguous: Sequence[tuple[str, tuple[str, ...]]],
    images: dict[str, tuple[Path, ...]],
    labels: dict[str, Path],
) -> UserError:
    """The error for labels that fit no image, or several."""
    label, fits = max(ambiguous, key=lambda each: len(each[1]))
    more = f" ({counted(len(ambiguous), 'label')} like it)" if len(ambiguous) > 1 else ""
    if fits:
        return UserError(
            f"{labels[label]}: fits {first_few([images[name][0].name for name in fits])}{more}; {LIST_PAIRS}"
        )
    shown = first_few(sorted(path[0].name for path in images.values()))
    return UserError(f"{labels[label]}: fits no image{more}, these being {shown}; {LIST_PAIRS}")
