"""Name the modality of channels by DICOM, file names or values."""

from collections.abc import Sequence

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.layouts.model import FoundCase
from data_preprocessing.dataset.layouts.survey import Sample
from data_preprocessing.images.checks.voxels import SCANNERS, looks_hounsfield, modality_of
from data_preprocessing.images.formats.registry import is_picture

COLORS = ("red", "green", "blue")
PICTURE = "picture"
DICOM_NAMES = {"MR": "MRI", "PT": "PET"}


def guess_channels(cases: Sequence[FoundCase], samples: Sequence[Sample]) -> list[str | None]:
    """Returns the modality of each channel, None for one that is in doubt.

    All sampled cases must agree. What DICOM files state comes first; values from air (about -1000) to bone are CT;
    else the names of all files of a channel must have a word such as `t1`, `flair`, `pet` or `mr`. Pictures are
    channels by color. Values that are never negative are of no modality by themselves: MR, PET and shifted CT look
    alike. Raises UserError where the sampled cases have different numbers of channels.
    """
    counts = sorted({len(sample) for sample in samples})
    if len(counts) > 1:
        raise UserError(f"cases have {counts[0]} and {counts[-1]} channels; choose those of one kind")
    return [_guess(index, counts[0], cases, samples) for index in range(counts[0])]


def _guess(index: int, count: int, cases: Sequence[FoundCase], samples: Sequence[Sample]) -> str | None:
    if all(is_picture(case.images[0]) for case in cases):
        return COLORS[index] if count == len(COLORS) else PICTURE if count == 1 else None
    ranges = [sample[index][0] for sample in samples]
    stated = {sample[index][1] for sample in samples}
    if len(stated) == 1 and stated <= set(SCANNERS):
        name = stated.pop()
        return DICOM_NAMES.get(name, name)
    named = _by_file_names(index, count, cases)
    if all(looks_hounsfield(each) for each in ranges):
        return "CT" if named in ("", "CT") else None
    return DICOM_NAMES.get(named, named) if named not in ("", "CT") else None


def _by_file_names(index: int, count: int, cases: Sequence[FoundCase]) -> str:
    """The modality, in DICOM's terms, that the file of a channel names in every case, or an empty string."""
    if any(len(case.images) != count for case in cases):
        return ""
    named = {modality_of(case.images[index].name.split(".")[0]) for case in cases}
    return named.pop() if len(named) == 1 else ""
