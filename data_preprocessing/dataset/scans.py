"""Images to predict, score or draw: what files, folders and lists of them stand for."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from data_preprocessing.common.script import user_path
from data_preprocessing.common.text import printable
from data_preprocessing.dataset.dataset import Case
from data_preprocessing.dataset.scan_names import ScanNames, split_suffix
from data_preprocessing.dataset.series_names import name_series
from data_preprocessing.images.checks.finding import Row, refuse, unusable
from data_preprocessing.images.checks.listing import check_names
from data_preprocessing.images.formats.dicom import is_series, series_folders, without_localizers
from data_preprocessing.images.formats.registry import SUFFIXES, case_name, is_image, is_picture

LIST_SUFFIX = ".txt"
COMMENT = "#"  # first in a line of a list


def find_images(source: Path | Sequence[Path], channels: int, remedy: str = "correct the path") -> list[Case]:
    """Returns the cases to predict in `source`, sorted by name: image files, folders of them, lists (.txt) of both.

    A folder that holds a DICOM series, and no image of another format but pictures, is one image; they are looked for
    at any depth below a folder without images, and named by `name_series`. Files become cases by the rule of
    `ScanNames`; each file is in one of them, and any channel file stands for its case. Raises UserError, ending in
    `remedy`, when there is none, two have one name, or channel files do not fit.
    """
    sources = [source] if isinstance(source, Path) else source
    names = ScanNames(channels)
    cases = list(dict.fromkeys(Case(*names.scan(path)) for path in _all_files(sources, remedy)))
    cases = name_series(cases, _roots(sources))
    refuse(Path(sources[0]), *check_names([case.name for case in cases]))
    return sorted(cases, key=lambda case: case.name)


def find_files(source: Path) -> dict[str, Path]:
    """Returns the image files or DICOM folders in `source`, as `find_images` finds them, by their own names, sorted.

    Labels and predictions have one file per case: nothing is grouped. Raises UserError when there is none, or two have
    one name.
    """
    cases = [Case(split_suffix(path)[0], (path,)) for path in _all_files([source], "correct the path")]
    cases = name_series(cases, _roots([source]))
    refuse(source, *check_names([case.name for case in cases]))
    return dict(sorted((case.name, case.images[0]) for case in cases))


def _all_files(sources: Sequence[Path], remedy: str) -> list[Path]:
    """Every image that the sources stand for, once."""
    return list(dict.fromkeys(path for source in sources for path in _listed(source, remedy)))


def _roots(sources: Sequence[Path]) -> list[Path]:
    """The files and folders that the sources name, in lists too."""
    return [root for source in sources for root in map(user_path, _lines(source) or [str(source)])]


def _listed(source: Path, remedy: str) -> list[Path]:
    """The images that a path stands for."""
    lines = _lines(source)
    if lines is None:
        return _files(source, remedy)
    return [path for line in lines for path in _files(user_path(line), f"correct it in {source}")]


def _lines(source: Path) -> list[str] | None:
    """The paths in a list, None where `source` is none."""
    if source.suffix != LIST_SUFFIX or not source.is_file():
        return None
    try:
        lines = [line.strip() for line in source.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise unusable(source, Row.LISTING, f"cannot be read ({error})", "give one path a line") from None
    lines = [line for line in lines if line and line[0] != COMMENT]
    if not lines:
        raise unusable(source, Row.LISTING, "lists no image", "give one path a line")
    return lines


def _files(source: Path, remedy: str) -> list[Path]:
    """The images in a folder, or the one that `source` is."""
    try:
        source.stat()
    except (OSError, ValueError) as error:  # ValueError of a null byte
        problem = "no such file or folder" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
        raise unusable(Path(printable(str(source))), Row.LISTING, problem[:200], remedy) from None
    if source.is_dir():
        found = _images_in(source)
        if not found:
            raise unusable(source, Row.LISTING, f"holds no image ({' '.join(SUFFIXES)}, DICOM)", remedy)
        return found
    if not source.is_file():
        raise unusable(source, Row.LISTING, "no such file or folder", remedy)
    case_name(source)
    return [source]


def _images_in(folder: Path) -> list[Path]:
    """Image files and DICOM folders; what is passed over is told."""
    found = [path for path in folder.iterdir() if is_image(path)]
    files = [path for path in found if not path.is_dir()]
    if not is_series(folder):
        return _without_deeper_series(folder, found) if files else without_localizers(_series_in(folder))
    if all(is_picture(path) for path in files):
        if files:
            warnings.warn(f"{folder}: its pictures are passed over, as it holds a DICOM series", stacklevel=2)
        return without_localizers(_series_in(folder))
    warnings.warn(f"{folder}: the DICOM files beside its images are passed over", stacklevel=2)
    return _without_deeper_series(folder, found)


def _without_deeper_series(folder: Path, found: list[Path]) -> list[Path]:
    """What was found in a folder with images of another format; of series further below, it warns."""
    left = [path for path in _series_in(folder) if path not in (folder, *found)]
    if left:
        problem = f"as it holds images, {len(left)} DICOM series further below are passed over, such as {left[0]}"
        warnings.warn(f"{folder}: {problem}; name the folders of those that are meant", stacklevel=3)
    return found


def _series_in(folder: Path) -> list[Path]:
    """The folders of series at any depth, but those called like a file of another format."""
    return [path for path in series_folders(folder) if path == folder or is_image(path)]
