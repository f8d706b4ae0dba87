"""Find the one series among the files of a folder, by their content."""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_preprocessing.common.text import counted, first_few
from data_preprocessing.images.checks.finding import Finding, Row, Unusable, unusable, warning
from data_preprocessing.images.formats.dicom_file import Header, damaged, read_header
from data_preprocessing.images.formats.dicom_slices import Slice, slices_of

SUFFIX = ".dcm"
INDEX_NAME = "DICOMDIR"
FILES_SHOWN = 3
PASSED_OVER = "put them into a folder of their own if they are to be read"


@dataclass(frozen=True)
class Series:
    """The slices of a series, in the order of their files, and what is odd about its folder."""

    slices: list[Slice]
    modality: str
    findings: tuple[Finding, ...]


def is_series(folder: Path) -> bool:
    """Returns whether a folder itself holds a DICOM image, whatever else and however much there is in it."""
    try:
        return any(_is_image(path) for path in _candidates(folder)) if folder.is_dir() else False
    except OSError:
        return False


def is_dicom(path: Path) -> bool:
    """Returns whether a file is one of DICOM, by its content or else by its name."""
    if path.suffix.lower() == SUFFIX:
        return True
    try:
        return path.is_file() and read_header(path) is not None
    except (OSError, Unusable):
        return False


def series_folders(folder: Path) -> list[Path]:
    """Returns the folders at any depth within `folder` that hold DICOM images, sorted; it may itself be one."""
    found, seen, left = [], set[Path](), [folder]
    while left:
        current = left.pop()
        if current.resolve() in seen:  # a link leads back
            continue
        seen.add(current.resolve())
        if is_series(current):
            found.append(current)
        try:
            left += [path for path in current.iterdir() if path.name[0] != "." and path.is_dir()]
        except OSError:
            continue
    return sorted(found)


def without_localizers(folders: Sequence[Path]) -> list[Path]:
    """Returns the folders of series but those of localizers alone, of which it warns; all where there are no others."""
    kept = [folder for folder in folders if not _holds_localizers(folder)]
    if not kept:
        return list(folders)
    for folder in folders:
        if folder not in kept:
            warnings.warn(f"{folder}: passed over, a localizer; name it by itself if it is meant", stacklevel=2)
    return kept


def _holds_localizers(folder: Path) -> bool:
    try:
        images = (header for path in _candidates(folder) if (header := read_header(path)) and header.is_image)
        return all(image.is_localizer for image in images)
    except (OSError, Unusable):
        return False


def find_series(folder: Path) -> Series:
    """Returns the one series in a folder.

    Objects that are no images are passed over. So are, with a warning, localizers beside other images, and images that
    state no place beside those that do. Raises Unusable for a damaged file, for several series, and where there is
    none.
    """
    headers = [header for path in _candidates(folder) if (header := _header(path))]
    images = [header for header in headers if header.is_image]
    if not images:
        raise _no_image(folder, headers)
    for image in images:
        if not image.is_whole:
            raise damaged(image.path)
    kept, localizers = _divide(images, [not image.is_localizer for image in images])
    kept, placeless = _divide(kept, [image.has_place for image in kept])
    if len({image.series for image in kept}) > 1:
        raise _several(folder, kept)
    for what, count in (
        ("patients", len({image.text("PatientID") for image in kept})),
        ("parts of complex numbers (magnitude and phase)", len({image.component for image in kept})),
    ):
        if count > 1:
            remedy = "put the files of each into a folder of its own"
            raise unusable(folder, Row.DICOM_SERIES, f"holds slices of {count} {what}", remedy)
    findings = [
        warning(Row.DICOM_SERIES, f"{_listed(others)} passed over: {why}", PASSED_OVER)
        for others, why in ((localizers, "localizers"), (placeless, "images without a place in space"))
        if others
    ]
    slices = [each for image in kept for each in slices_of(image)]
    return Series(slices, kept[0].modality, tuple(finding.at(folder) for finding in findings))


def _divide(images: Sequence[Header], wanted: Sequence[bool]) -> tuple[list[Header], list[Header]]:
    """The wanted images and the others; where none is wanted, all."""
    if not any(wanted):
        return list(images), []
    kept = [image for image, is_wanted in zip(images, wanted, strict=True) if is_wanted]
    return kept, [image for image, is_wanted in zip(images, wanted, strict=True) if not is_wanted]


def _several(folder: Path, images: Sequence[Header]) -> Exception:
    counts = Counter(image.series for image in images)
    first = {image.series: image for image in reversed(images)}
    listed = ", ".join(f"{first[series].series_name} ({counted(counts[series], 'file')})" for series in sorted(counts))
    remedy = "put the files of each into a folder of its own"
    return unusable(folder, Row.DICOM_SERIES, f"holds {len(counts)} series: {listed}", remedy)


def _no_image(folder: Path, headers: Sequence[Header]) -> Exception:
    kinds = sorted({header.kind for header in headers})
    problem = f"holds no DICOM image, only {', '.join(kinds)}" if kinds else "holds no DICOM file"
    within = [path for path in series_folders(folder) if path != folder]
    remedy = f"name the folder of one series, such as {within[0]}" if within else "name the folder of one series"
    others = [path.name for path in _candidates(folder)]
    if not kinds and not within and others:  # a folder per patient
        problem, remedy = (
            f"a folder, and no DICOM series: it holds {first_few(others, FILES_SHOWN)}",
            "name the image file in it",
        )
    return unusable(folder, Row.DICOM_SERIES, problem, remedy)


def _listed(images: Sequence[Header]) -> str:
    return first_few([image.path.name for image in images], FILES_SHOWN)


def _candidates(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.iterdir())
        if path.name[0] != "." and path.name.upper() != INDEX_NAME and path.is_file()
    ]


def _header(path: Path) -> Header | None:
    header = read_header(path)
    if header is None and path.suffix.lower() == SUFFIX:
        raise damaged(path)
    return header


def _is_image(path: Path) -> bool:
    """Whether a file is a DICOM image, or a damaged DICOM file, of which reading the series will tell."""
    try:
        header = read_header(path)
    except OSError:
        return False
    except Unusable:
        return True
    return header is not None and header.is_image
