"""What a check finds, and the exception that an error becomes where the file is needed."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import Literal

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.text import printable

Level = Literal["error", "warning"]

LONGEST = 600  # signs of a problem


class Row(IntEnum):
    """The kinds of odd input that are reported: a stable code and its short name.

    The numbers left out are kinds of input that are simply handled: bytes after the voxels (6), big-endian files (9),
    a slope of 0 or NaN (10), CT with slope and intercept (12), negative pixdim (14), all 48 orientations (21), one time
    point (24), channels as the last axis or as files (25, 26), values beyond 16 bits (34), affines within the
    tolerance (36), float labels that mean integers (39), gaps in the label numbers (44), over 255 classes (46).
    """

    GZIP_TRUNCATED = 1  # error
    GZIP_DAMAGED = 2  # error: a byte or the checksum is wrong
    SHORTER_THAN_ITS_HEADER_SAYS = 3  # error
    EMPTY_FILE = 4  # error
    WRONG_SUFFIX = 5  # error: gzip named .nii, or the other way round; the right name is suggested
    NOT_NIFTI = 7  # error: a suffix of no known format; named NIfTI: another magic number, a header that cannot be
    NO_VOXELS = 8  # error: an axis of length 0
    INVALID_INTERCEPT = 11  # error: a valid slope, but an intercept of NaN or infinity
    PIXDIM_UNSET = 13  # warning: 0 or NaN in the header; the affine is used
    NO_ORIENTATION = 15  # warning: neither qform nor sform is coded; left and right are assumed
    QFORM_DIFFERS = 16  # warning: both are coded; the sform is used
    PIXDIM_DIFFERS = 17  # warning: the affine is used
    SHEARED = 18  # warning; error where it is large
    SINGULAR_AFFINE = 19  # error: also NaN or infinity in it
    NEAR_45_DEGREES = 20  # warning: a hair more, and the axes would be taken for one another
    UNIT = 22  # warning: metre or micron
    UNLIKELY_SPACING = 23  # warning
    CHANNEL_COUNT = 27  # error
    TOO_MANY_AXES = 28  # error: over four axes do not map to channels
    SINGLE_SLICE = 29  # error for a 3D network, warning at prediction
    VOXEL_TYPE = 30  # error: RGB, complex or unknown
    NOT_FINITE = 31  # error: NaN or infinity in an image to train on; warning at prediction
    CONSTANT = 32  # warning: all voxels of a channel are the same
    NOT_HOUNSFIELD = 33  # warning: CT by its modality, but not by its values
    LABEL_SHAPE = 35  # error: labels are never resized
    LABEL_GRID = 37  # error: elsewhere in space; a warning where another origin or spacing is to be trusted
    CHANNEL_GRID = 38  # error: the channel files of a case disagree
    FRACTIONAL_LABEL = 40  # error
    UNDECLARED_LABEL = 41  # error
    NEGATIVE_LABEL = 42  # error: also NaN or infinity
    ABSENT_CLASS = 43  # warning: a declared class that no case has
    NO_FOREGROUND = 45  # error where no case has any; single cases without are fine
    MEMORY = 48  # warning at prediction: a case may take more than is free
    LISTING = 49  # error: dataset.json is malformed, or lists a file that is not there; warning: a wrong numTraining
    FEW_CASES = 50  # error: fewer than cross-validation has folds; warning: a single one
    LISTED_TWICE = 51  # warning: a case listed again, or for testing too; error: two cases of one name
    DICOM_SERIES = 52  # error: a slice is missing, several series in a folder, slices that do not fit; warning: a tilt
    UNREADABLE = 57  # error: of another format than NIfTI, and damaged or not supported
    LOSSY_LABEL = 58  # error: a JPEG does not keep numbers
    OTHER_MODALITY = 59  # warning: a DICOM file of another modality than its channel's


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One problem and its remedy. `case` is empty where it concerns the whole data set; a check leaves `file` empty."""

    level: Level
    case: str = ""
    file: str = ""
    problem: str
    remedy: str
    row: Row

    def at(self, file: Path, case: str = "") -> "Finding":
        """Returns the same finding, in a place."""
        return replace(self, file=str(file), case=case)


def error(row: Row, problem: str, remedy: str) -> Finding:
    """Returns a finding that makes a file unusable; its place is still to be said."""
    return Finding(level="error", problem=_one_line(problem), remedy=remedy, row=row)


def warning(row: Row, problem: str, remedy: str) -> Finding:
    """Returns a finding that work goes on after; its place is still to be said."""
    return Finding(level="warning", problem=_one_line(problem), remedy=remedy, row=row)


class Unusable(UserError):
    """An error that was found where the file is needed."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding)
        self.finding = finding

    def __str__(self) -> str:
        """Returns the one line that the user sees."""
        return f"{self.finding.file}: {self.finding.problem}; {self.finding.remedy}"


def unusable(file: Path, row: Row, problem: str, remedy: str) -> Unusable:
    """Returns the exception for one error, to be raised."""
    return Unusable(error(row, problem, remedy).at(file))


def refuse(file: Path, *findings: Finding) -> None:
    """Raises Unusable for the first error among `findings` about `file`; warnings pass."""
    for finding in findings:
        if finding.level == "error":
            raise Unusable(finding.at(file))


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Returns the findings in order: errors before warnings, the data set before its cases, like beside like."""
    return sorted(findings, key=_badness)


def _badness(finding: Finding) -> tuple[bool, bool, Row, str, str, str, str]:
    place = (finding.problem, finding.remedy, finding.case, finding.file)
    return finding.level != "error", finding.case != "", finding.row, *place


def _one_line(text: str) -> str:
    """Libraries explain themselves in several."""
    return printable(" ".join(text.split()), LONGEST)
