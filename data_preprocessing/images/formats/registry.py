"""Which files are read, by what, and what their results are written as. A further format is one more entry."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.images.checks.file_format import SAVE_AS_ONE
from data_preprocessing.images.checks.finding import Row, unusable
from data_preprocessing.images.formats import dicom, metaimage, mgz, nrrd, pictures, sidecar, tiff
from data_preprocessing.images.formats.stored import Stored
from data_preprocessing.images.nifti_file import NIFTI_SUFFIXES, NiftiImage, nifti_suffix

NIFTI_SUFFIX = ".nii.gz"
PAIR_SUFFIXES = (".hdr", ".img")  # not read


@dataclass(frozen=True)
class Format:
    """How files of some suffixes are read, looked at without their voxels, and written.

    `read` is also told whether it is to be a label. Results are written by the entry of `result`, or, where that is
    None, under the suffix that the scan has. `is_picture`: colours are channels, and there is no spacing. `is_lossy`:
    numbers do not come back as they were saved. `others` lists the files besides one that it is read with.
    """

    suffixes: tuple[str, ...]
    read: Callable[[Path, bool], Stored]
    look: Callable[[Path], Stored]
    write: Callable[[Path, NiftiImage], None] | None
    result: str | None = None
    is_picture: bool = False
    is_lossy: bool = False
    others: Callable[[Path], list[Path]] | None = None


SERIES = Format((), dicom.read, dicom.look, None, result=NIFTI_SUFFIX)  # a folder
FORMATS = (
    Format((".mgz", ".mgh"), mgz.read, mgz.look, mgz.write),
    Format((".nrrd",), nrrd.read, nrrd.look, nrrd.write, others=nrrd.data_files),
    Format((".nhdr",), nrrd.read, nrrd.look, None, result=".nrrd", others=nrrd.data_files),
    Format((".mha",), metaimage.read, metaimage.look, metaimage.write, others=metaimage.data_files),
    Format((".mhd",), metaimage.read, metaimage.look, None, result=".mha", others=metaimage.data_files),
    Format((".png", ".bmp"), pictures.read, pictures.look, pictures.write, is_picture=True),
    Format((".tif", ".tiff"), tiff.read, tiff.look, tiff.write, is_picture=True, others=sidecar.beside),
    Format((".jpg", ".jpeg"), pictures.read, pictures.look, None, result=".png", is_picture=True, is_lossy=True),
)  # beside NIfTI, which nifti_file.py reads
SUFFIXES = (*NIFTI_SUFFIXES, *(suffix for entry in FORMATS for suffix in entry.suffixes))


def case_name(path: Path) -> str:
    """Returns a file's name without the suffix of its format, a folder's name as it is.

    Raises UserError for another kind of file.
    """
    return path.name if _is_folder(path) else path.name.removesuffix(suffix_of(path))


def suffix_of(path: Path) -> str:
    """Returns the suffix as it is written in the file's name; raises UserError for another kind of file."""
    if nifti_suffix(path):
        return nifti_suffix(path)
    if path.suffix.lower() in _by_suffix():
        return path.suffix
    if dicom.is_dicom(path):
        raise unusable(path, Row.NOT_NIFTI, "one file of a DICOM series", "give the folder that holds the series")
    if path.suffix.lower() in PAIR_SUFFIXES:
        raise unusable(path, Row.NOT_NIFTI, "one file of a NIfTI or Analyze pair (.hdr and .img)", SAVE_AS_ONE)
    raise unusable(path, Row.NOT_NIFTI, "not an image of a known kind", f"give {' '.join(SUFFIXES)} or a DICOM folder")


def is_image(path: Path) -> bool:
    """Returns whether `path` is a file of a known format by its name, or the folder of a DICOM series."""
    if path.name.startswith("."):
        return False
    return (_is_folder(path) and dicom.is_series(path)) or (_has_known_suffix(path) and not path.is_dir())


def format_of(path: Path) -> Format | None:
    """Returns the entry of a file or folder, None for NIfTI; raises UserError for another kind of file."""
    if _is_folder(path):
        return SERIES
    suffix = suffix_of(path).lower()
    return None if suffix in NIFTI_SUFFIXES else _by_suffix()[suffix]


def is_picture(path: Path) -> bool:
    """Returns whether a file is a PNG, BMP, JPEG or TIFF by its name."""
    entry = _by_suffix().get(path.suffix.lower())
    return entry is not None and entry.is_picture


def is_lossy(path: Path) -> bool:
    """Returns whether a file's format changes the numbers that are saved in it."""
    entry = _by_suffix().get(path.suffix.lower())
    return entry is not None and entry.is_lossy


def files_of(path: Path) -> list[Path]:
    """Returns all files that an image is read from, `path` first; of a folder, those in it."""
    if path.is_dir():
        return sorted(each for each in path.iterdir() if each.is_file())
    entry = _by_suffix().get(path.suffix.lower())
    if entry is None or entry.others is None:
        return [path]
    try:
        return [path, *(other for other in entry.others(path) if other.is_file())]
    except (UserError, OSError):  # reading it will tell
        return [path]


def result_suffix(scan: Path) -> str:
    """Returns the suffix of the segmentation of a scan."""
    entry = format_of(scan)
    return NIFTI_SUFFIX if entry is None else entry.result or suffix_of(scan).lower()


def _is_folder(path: Path) -> bool:
    """Whether it can be that of a series; what is called like a file is to be one."""
    return path.is_dir() and not _has_known_suffix(path)


def _has_known_suffix(path: Path) -> bool:
    return bool(nifti_suffix(path)) or path.suffix.lower() in _by_suffix()


@cache
def _by_suffix() -> dict[str, Format]:
    return {suffix: entry for entry in FORMATS for suffix in entry.suffixes}
