"""Read the header of a DICOM file, through pydicom, and tell what kind of object it is."""

import re
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

from pydicom import FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.tag import Tag
from pydicom.uid import UID
from pydicom.valuerep import STANDARD_VR

from data_preprocessing.images.checks.file_format import COPY_AGAIN
from data_preprocessing.images.checks.finding import Row, Unusable, unusable
from data_preprocessing.images.formats.dicom_stream import open_dicom

MAGIC, MAGIC_OFFSET = b"DICM", 128
IMAGE_KINDS = ("Image Storage", "Parametric Map Storage")  # in the names of SOP classes of images
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"  # Label Map Segmentation Storage, which pydicom does not know yet
SEGMENTATION_KINDS = ("Segmentation Storage", "Label Map Segmentation Storage", LABEL_MAP)
GROUPS_FIRST = (0x0002, 0x0008)  # of the first element of a file without preamble
HIGHEST_ELEMENT_FIRST = 0x0100  # of group 8: character set, image type, times, SOP class
LONGEST_FIRST = 1024  # bytes of that element
PIXEL_TAGS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
KEYWORDS = (
    "PatientID", "ComplexImageComponent",
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "Modality", "SeriesDescription", "SliceThickness",
    "SeriesInstanceUID", "SeriesNumber", "ImagePositionPatient", "ImageOrientationPatient", "SamplesPerPixel",
    "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "PixelSpacing", "BitsAllocated", "BitsStored",
    "HighBit", "PixelRepresentation", "RescaleIntercept", "RescaleSlope", "ModalityLUTSequence", SHARED, PER_FRAME,
)  # fmt: skip
COMPONENTS = {"M": "M", "P": "P", "R": "R", "I": "I", "MAGNITUDE": "M", "PHASE": "P", "REAL": "R", "IMAGINARY": "I"}
TAGS = tuple(Tag(keyword) for keyword in KEYWORDS)
INVALID = (
    InvalidDicomError, BytesLengthException, EOFError, ValueError, KeyError, IndexError, AttributeError,
    TypeError, NotImplementedError, OverflowError, struct.error, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class Header:
    """The header of one DICOM file. `pixel_tag` is the element that holds its pixels, 0 where there is none."""

    path: Path
    dataset: FileDataset
    pixel_tag: int

    @property
    def kind(self) -> str:
        """Name of the kind of object, such as CT Image Storage; empty where the file does not tell."""
        with warnings.catch_warnings(action="ignore"):  # pydicom's, about characters
            meta = self.dataset.file_meta.get("MediaStorageSOPClassUID")
            return UID(str(self.dataset.get("SOPClassUID") or meta or "")).name

    @property
    def is_image(self) -> bool:
        """Whether it is an image by its kind, or, where that is unknown, by what it holds; no segmentation is."""
        if self.is_segmentation:
            return False
        if self.kind[:1].isalpha():
            return any(name in self.kind for name in IMAGE_KINDS)
        return bool(self.pixel_tag and "Rows" in self.dataset)

    @property
    def is_segmentation(self) -> bool:
        """Whether it holds segments that were drawn on an image."""
        return self.kind in SEGMENTATION_KINDS

    @property
    def is_whole(self) -> bool:
        """Whether the file of an image goes on up to its pixels."""
        return bool(self.pixel_tag) and all(self.text(keyword) not in ("", "0") for keyword in ("Rows", "Columns"))

    @property
    def is_localizer(self) -> bool:
        """Whether it shows where others lie: a scout, topogram or survey."""
        return "LOCALIZER" in self.text("ImageType").upper()

    @property
    def has_place(self) -> bool:
        """Whether it states where it lies."""
        return bool(self.text("ImagePositionPatient")) or PER_FRAME in self.dataset

    @property
    def series(self) -> str:
        """The series it belongs to."""
        return self.text("SeriesInstanceUID")

    @property
    def series_name(self) -> str:
        """What the series is called: its number and description, or else its UID."""
        words = f"{self.text('SeriesNumber')} {self.text('SeriesDescription')}".split()
        return " ".join("".join(filter(str.isprintable, word)) for word in words) or self.series or "without a name"

    @property
    def component(self) -> str:
        """Which part of complex numbers its pixels are, such as P of phase; empty where it does not tell."""
        stated = self.text("ComplexImageComponent").upper()[:1]
        values = re.findall(r"\w+", self.text("ImageType").upper())[2:]  # the first two tell where it comes from
        return stated or next((COMPONENTS[value] for value in values if value in COMPONENTS), "")

    @property
    def modality(self) -> str:
        """Such as CT, MR and PT."""
        return self.text("Modality").upper()

    def text(self, keyword: str) -> str:
        """Returns an element as text, empty where there is none that can be read."""
        try:
            with warnings.catch_warnings(action="ignore"):  # pydicom's, about characters
                value = self.dataset.get(keyword)
        except INVALID:
            return ""
        return "" if value is None else str(value).strip()


def read_header(path: Path) -> Header | None:
    """Returns the header of a DICOM file, with or without the preamble, or None for another kind of file.

    Raises Unusable for a damaged one.
    """
    try:
        with open(path, "rb") as start:
            if not _begins_like_dicom(start.read(MAGIC_OFFSET + len(MAGIC))):
                return None
        with warnings.catch_warnings(action="ignore"), open_dicom(path) as stream:
            found: list[int] = []

            def at_pixels(tag: int, kind: str | None, length: int) -> bool:
                if tag in PIXEL_TAGS:
                    found.append(int(tag))
                return bool(found)

            dataset = read_partial(stream, stop_when=at_pixels, force=True, specific_tags=list(TAGS))
            header = Header(path, dataset, found[0] if found else 0)
            if not header.kind and not header.is_image:
                raise damaged(path)
            return header
    except INVALID as reason:
        if isinstance(reason, Unusable):
            raise
        raise damaged(path) from None


def damaged(path: Path) -> Unusable:
    """Returns the exception for a file that is no DICOM image, or not a whole one."""
    return unusable(path, Row.UNREADABLE, "not a valid DICOM image, or truncated", COPY_AGAIN)


def _begins_like_dicom(start: bytes) -> bool:
    """Whether there is the preamble, or else an element that a data set begins with."""
    if start[MAGIC_OFFSET:] == MAGIC:
        return True
    if len(start) < 8:
        return False
    for order in "<>":
        group, element = struct.unpack(f"{order}HH", start[:4])
        length = struct.unpack(f"{order}I", start[4:8])[0]
        explicit = start[4:6].decode("latin-1") in STANDARD_VR
        if group in GROUPS_FIRST and element < HIGHEST_ELEMENT_FIRST and (explicit or length < LONGEST_FIRST):
            return True
    return False
