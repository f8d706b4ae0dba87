"""Cases by patterns of file names: one folder per patient, or all files of a kind in one folder."""

import re
from collections.abc import Sequence
from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.text import counted, first_few
from data_preprocessing.dataset.layouts.model import FoundCase, Layout, Pattern, only_match
from data_preprocessing.dataset.layouts.structure_masks import masks_in
from data_preprocessing.images.formats.dicom_segments import is_segmentation
from data_preprocessing.images.formats.registry import case_name


def find_by_patterns(
    source: Path, images: Sequence[Pattern], label: str | None = None, masks: str | None = None
) -> Layout:
    """Returns the cases in `source` whose files match patterns, such as `ct.nii.gz` or `*_t1.nii.gz`.

    `images` has one pattern per channel, with its name, which is empty for a single unnamed image; `label` is that of
    the label map or DICOM segmentation, `masks` that of a folder with one binary mask per structure. Where the images
    lie in `source` itself, a case is what `*` stands for; else each folder in it is a case. Raises UserError where a
    pattern matches several files of a case, a channel is missing, or nothing is found.
    """
    if not source.is_dir():
        raise UserError(f"{source}: no such folder; name the folder that holds the cases")
    options = [(f"--channel {name}={pattern}" if name else f"--image {pattern}", pattern) for name, pattern in images]
    flat = any("*" in pattern and "/" not in pattern and any(source.glob(pattern)) for _, pattern in options)
    cases, notes = (_in_one_folder if flat else _in_folders)(source, options, label, masks)
    if not cases:
        listed = ", ".join(pattern for _, pattern in options)
        raise UserError(f"{source}: neither it nor a folder in it has a file {listed}; correct the pattern")
    channels = tuple(name for name, _ in images if name)
    kind = "files of one folder" if flat else "one folder per patient"
    return Layout(kind, tuple(cases), channels, notes=tuple(notes))


def _in_folders(
    source: Path, options: Sequence[tuple[str, str]], label: str | None, masks: str | None
) -> tuple[list[FoundCase], list[str]]:
    """One case per folder; skip folders without any image."""
    cases, without = [], []
    for folder in sorted(path for path in source.iterdir() if path.is_dir() and not path.name.startswith(".")):
        files = [only_match(folder, pattern, option.split(" ")[0]) for option, pattern in options]
        if not any(files):
            without.append(folder.name)
            continue
        images = tuple(_there(folder, file, option) for file, (option, _) in zip(files, options, strict=True))
        found = only_match(folder, label, "--label") if label else None
        masked = only_match(folder, masks, "--masks") if masks else None
        cases.append(_case(folder.name, images, found, masked))
    return cases, [f"skipped, without any image: {first_few(without)}"] if without else []


def _in_one_folder(
    source: Path, options: Sequence[tuple[str, str]], label: str | None, masks: str | None
) -> tuple[list[FoundCase], list[str]]:
    """One case per text that `*` stands for; masks are looked for in the folder that it makes of the pattern."""
    found = [_by_wildcard(source, pattern, option.split(" ")[0]) for option, pattern in options]
    labels = _by_wildcard(source, label, "--label") if label else {}
    folders = _by_wildcard(source, masks, "--masks") if masks else {}
    cases = []
    for name in sorted(set().union(*found)):
        images = [
            _there(source / name, each.get(name), option) for each, (option, _) in zip(found, options, strict=True)
        ]
        if images[0] not in labels.values():  # a pattern of images may match labels too
            cases.append(_case(name, tuple(images), labels.get(name), folders.get(name)))
    left = sorted(labels.keys() - {case.name for case in cases})
    if left:
        raise UserError(f"{labels[left[0]]}: a label without an image, as {counted(len(left), 'label')}; remove them")
    return cases, []


def _by_wildcard(source: Path, pattern: str, option: str) -> dict[str, Path]:
    """The paths that a glob matches by what its `*` stand for, joined by `_`."""
    expression = re.compile(re.escape(pattern).replace(r"\*", "(.*)").replace(r"\?", "(.)"), re.DOTALL)
    found: dict[str, Path] = {}
    for path in sorted(source.glob(pattern)):
        match = expression.fullmatch(str(path.relative_to(source)))
        if match is None or path.name.startswith("."):
            continue
        name = "_".join(match.groups()).replace("/", "-").strip("_-. ")
        if name in found:
            raise UserError(
                f"{source}: {option} {pattern} matches {found[name].name} and {path.name} of {name}; rename one"
            )
        found[name] = path
    return found


def _there(case: Path, file: Path | None, option: str) -> Path:
    if file is None:
        raise UserError(f"{case}: no file for {option}; add it, or remove the case")
    case_name(file)  # refuses what is no image
    return file


def _case(name: str, images: tuple[Path, ...], label: Path | None, masks: Path | None) -> FoundCase:
    structures = masks_in(masks) if masks else {}
    if label is not None and is_segmentation(label):
        return FoundCase(name, images, segmentation=label, masks=structures)
    if label is not None:
        case_name(label)
    return FoundCase(name, images, label=label, masks=structures)
