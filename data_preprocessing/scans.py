"""Images to predict, score or draw: what files, folders and lists of them stand for."""

from collections.abc import Sequence
from pathlib import Path

from data_preprocessing.checks.finding import Row, refuse, unusable
from data_preprocessing.checks.listing import check_names
from data_preprocessing.dataset import Case, split_suffix
from data_preprocessing.formats.dicom import is_series
from data_preprocessing.formats.table import SUFFIXES, case_name, is_image

LIST_SUFFIX = ".txt"
COMMENT = "#"  # first in a line of a list


def find_images(source: Path | Sequence[Path], channels: int, remedy: str = "correct the path") -> list[Case]:
    """Returns the cases to predict in `source`, sorted by name: image files, folders of them, lists (.txt) of both.

    A folder that holds a DICOM series, and no image of another format, is one image. With several channels,
    `name_0000.nii.gz`, `name_0001.nii.gz`, ... make one case, whose first file stands for all. Raises UserError, ending
    in `remedy`, when there is none, or two of one name.
    """
    sources = [source] if isinstance(source, Path) else source
    paths = list(dict.fromkeys(path for each in sources for path in _listed(each, remedy)))
    known = {path.parent / case_name(path): path for path in paths}
    cases = []
    for path in paths:
        name = case_name(path)
        first = path.parent / f"{name[:-5]}_0000"
        if name.endswith("_0000"):
            cases.append(Case(name[:-5], _channels(path, known, channels)))
        elif not (_is_channel_suffix(name) and first in known):
            cases.append(Case(name, (path,)))
    refuse(Path(sources[0]), *check_names([case.name for case in cases]))
    return sorted(cases, key=lambda case: case.name)


def _listed(source: Path, remedy: str) -> list[Path]:
    """The images that a path stands for."""
    if source.suffix != LIST_SUFFIX or not source.is_file():
        return _files(source, remedy)
    try:
        lines = [line.strip() for line in source.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise unusable(source, Row.LISTING, f"cannot be read ({error})", "give one path a line") from None
    lines = [line for line in lines if line and line[0] != COMMENT]
    if not lines:
        raise unusable(source, Row.LISTING, "lists no image", "give one path a line")
    return [path for line in lines for path in _files(Path(line), f"correct it in {source}")]


def _files(source: Path, remedy: str) -> list[Path]:
    """The images in a folder, or the one that `source` is."""
    if source.is_dir():
        found = [path for path in source.iterdir() if is_image(path)]
        if not found and not is_series(source):
            raise unusable(source, Row.LISTING, f"holds no image ({' '.join(SUFFIXES)}, DICOM)", remedy)
        return found or [source]
    if not source.is_file():
        raise unusable(source, Row.LISTING, "no such file or folder", remedy)
    case_name(source)
    return [source]


def _channels(first: Path, known: dict[Path, Path], channels: int) -> tuple[Path, ...]:
    """The files beside `first`, `name_0000.nii.gz`, that hold its further channels, as far as they are there."""
    stem, suffix = first.parent / case_name(first)[:-5], split_suffix(first)[1]
    others = [stem.with_name(f"{stem.name}_{number:04d}") for number in range(1, channels)]
    paths = [known.get(other, other.with_name(other.name + suffix)) for other in others]
    return (first, *(path for path in paths if path.exists()))


def _is_channel_suffix(name: str) -> bool:
    return len(name) > 5 and name[-5] == "_" and name[-4:].isdecimal()
