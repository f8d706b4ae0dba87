"""Checks of voxel values: intensities of an image, numbers of a label."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from data_preprocessing.images.checks.finding import Finding, Row, error, warning

LABEL_TOLERANCE = 1e-3  # float labels this close to an integer are that integer
UNTOUCHED = ("nonorm", "rescale_to_0_1", "rgb_to_0_1")  # channels that nnU-Net names by what is done to them
HIGHEST_RESCALED = 1.0  # Hounsfield units of air are -1000, of bone over 1000: nothing of a body fits under 1
VALUES_LISTED = 5  # of undeclared labels in one line
EXPORT = "export the labels as 0, 1, 2, ..."
MODALITY_WORDS = {
    "CT": re.compile("ct|cta|cbct|cect|ncct|ldct"),
    "MR": re.compile(r"\w*mri?|t1\w*|t2\w*|flair|adc|dwi|swi|pdw?"),
    "PT": re.compile("pet|pt|suv"),
}  # what channels are called
SCANNERS = (*MODALITY_WORDS, "US", "CR", "DX", "MG", "XA", "NM")  # secondary captures (OT, SC) may be of any
CT_PHRASE = re.compile(r"\b(ct|cta|cbct|cect|ncct|ldct|computed (axial )?tomography|computertomographie)\b")
# What may stand beside these in the name of a channel of Hounsfield units: not "perfusion", "mask" or "dual".
BESIDE_CT = re.compile(
    "scans?|images?|volumes?|hu|hounsfield|units?|contrast|enhanced|non|unenhanced|noncontrast|native|plain|with|without|"
    "low|high|dose|arterial|venous|portal|delayed|phase|angiography|angiogram|cone|beam|x|ray|3d|the|of|and|a|in|"
    "chest|thora(x|cic)|abdom(en|inal)|pelvi[sc]|head|neck|brain|body|whole|spine|lung|liver|cardiac|coronary"
)
HU_OF_AIR = (-3100.0, -800.0)  # lowest value of a CT: air, or the padding around the scanner's circle
HU_OF_BONE = 200.0  # the highest is above
MIRRORED = 0.05  # of the range: MR phase and flow run from -4096 to 4095
PART = 2**20  # voxels looked at in one go, so that no second volume is needed


@dataclass(frozen=True)
class Intensities:
    """Lowest and highest value of one channel, NaN where it has any."""

    channel: str
    lowest: float
    highest: float

    @property
    def finite(self) -> bool:
        """Whether no voxel is NaN or infinite."""
        return bool(np.isfinite([self.lowest, self.highest]).all())


def measure(channel: str, stored: np.ndarray, slope: float = 1.0, intercept: float = 0.0) -> Intensities:
    """Returns the range of `slope * stored + intercept` in float32, without making a volume of it."""
    with np.errstate(over="ignore", invalid="ignore"):  # beyond float32 becomes infinite, and is reported as such
        ends = np.array([stored.min(), stored.max()]).astype(np.float32) * np.float32(slope) + np.float32(intercept)
    return Intensities(channel, float(ends.min()), float(ends.max()))


def check_finite(intensities: Iterable[Intensities]) -> list[Finding]:
    """NaN or infinity, in a float image or out of a scaling."""
    if all(channel.finite for channel in intensities):
        return []
    return [error(Row.NOT_FINITE, "contains NaN or Inf", "replace those voxels by the background value")]


def check_constant(intensities: Intensities) -> list[Finding]:
    """A channel without any contrast."""
    if not intensities.finite or intensities.lowest < intensities.highest:
        return []
    problem = f"channel {intensities.channel} is {intensities.lowest:g} everywhere"
    return [warning(Row.CONSTANT, problem, "remove the case if it is not meant to be blank")]


def check_hounsfield(intensities: Intensities) -> list[Finding]:
    """A channel called CT whose values are not Hounsfield units, or one of another name whose values look like them."""
    low, high = intensities.lowest, intensities.highest
    if not intensities.finite or low == high:
        return []
    if not is_ct(intensities.channel):
        if intensities.channel.strip().lower() in UNTOUCHED or not looks_hounsfield(intensities):
            return []
        problem = f"channel {intensities.channel} looks like Hounsfield units (from {low:g} to {high:g})"
        return [
            warning(Row.NOT_HOUNSFIELD, problem, "call it CT in dataset.json if it is, so that it is normalized so")
        ]
    if low < 0:
        return []
    how = "lie in [0, 1]: rescaled?" if high <= HIGHEST_RESCALED else "are never negative: shifted?"
    problem = f"its modality is CT, but its values {how} (from {low:g} to {high:g})"
    return [warning(Row.NOT_HOUNSFIELD, problem, "convert it to Hounsfield units, or correct the modality")]


def is_ct(channel: str) -> bool:
    """Returns whether the name of a channel says that its values are Hounsfield units.

    >>> [is_ct(name) for name in ("CTA", "ct scan", "Computed Tomography", "CT perfusion", "PET/CT", "MR")]
    [True, True, True, False, False, False]
    """
    text = " ".join(_words(channel))
    rest, times = CT_PHRASE.subn(" ", text)
    return times > 0 and all(map(BESIDE_CT.fullmatch, rest.split()))


def looks_hounsfield(intensities: Intensities) -> bool:
    """Returns whether a range of values is that of a CT: from air to bone."""
    low, high = intensities.lowest, intensities.highest
    if not (intensities.finite and HU_OF_AIR[0] <= low <= HU_OF_AIR[1] and high >= HU_OF_BONE):
        return False
    return modality_of(intensities.channel) != "MR" or abs(high + low) > MIRRORED * (high - low)


def check_modality(channel: str, stated: str) -> list[Finding]:
    """A file of another modality, `stated` in DICOM's terms or empty, than the name of its channel tells."""
    expected = modality_of(channel)
    if not (expected and stated) or stated == expected or stated not in SCANNERS:
        return []
    problem = f"its modality is {stated}, where channel {channel} is {expected}"
    return [warning(Row.OTHER_MODALITY, problem, "make sure that it is the scan meant")]


def modality_of(channel: str) -> str:
    """Returns the modality, in DICOM's terms, that the name of a channel tells, or an empty string."""
    if is_ct(channel):
        return "CT"
    words = _words(channel)
    return next((name for name, pattern in MODALITY_WORDS.items() if any(map(pattern.fullmatch, words))), "")


def _words(text: str) -> list[str]:
    return re.split(r"[^a-z0-9]+", text.lower())


def check_label_values(voxels: np.ndarray) -> list[Finding]:
    """Label values of any shape and type that are no label numbers: negative, NaN, infinite or fractional."""
    findings = []
    if any(_fractional(part) for part in _parts(voxels)):
        findings.append(error(Row.FRACTIONAL_LABEL, "fractional label values (interpolated?)", EXPORT))
    lowest, highest = voxels.min(), voxels.max()
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        findings.append(error(Row.NEGATIVE_LABEL, "NaN or infinite label values", EXPORT))
    elif highest > np.iinfo(np.uint32).max:
        findings.append(error(Row.NEGATIVE_LABEL, f"label value {float(highest):g} is not a class number", EXPORT))
    elif lowest < -LABEL_TOLERANCE:
        findings.append(error(Row.NEGATIVE_LABEL, f"negative label value {lowest:g}", EXPORT))
    return findings


def _fractional(part: np.ndarray) -> bool:
    if part.dtype.kind != "f":
        return False
    finite = part[np.isfinite(part)]
    return bool((np.abs(finite - np.rint(finite)) > LABEL_TOLERANCE).any())


def label_numbers(voxels: np.ndarray) -> frozenset[int]:
    """Returns the numbers in label voxels that passed `check_label_values`."""
    found: set[int] = set()
    for part in _parts(voxels):
        found.update(int(number) for number in np.unique(np.rint(part) if part.dtype.kind == "f" else part))
    return frozenset(found)


def _parts(voxels: np.ndarray) -> Iterator[np.ndarray]:
    flat = voxels.ravel(order="K")  # in the order of memory: no copy
    return (flat[start : start + PART] for start in range(0, flat.size, PART))


def check_declared(numbers: Iterable[int], names: Mapping[int, str]) -> list[Finding]:
    """Label numbers that dataset.json does not name."""
    undeclared = sorted(set(numbers) - set(names))
    if not undeclared:
        return []
    listed = ", ".join(map(str, undeclared[:VALUES_LISTED])) + ", ..." * (len(undeclared) > VALUES_LISTED)
    declared = ", ".join(f"{number}={name}" for number, name in names.items())
    problem = f"label {listed} is not declared in dataset.json ({declared})"
    return [error(Row.UNDECLARED_LABEL, problem, "declare it or correct the file")]
