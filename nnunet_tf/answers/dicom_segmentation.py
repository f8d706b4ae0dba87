"""Write a segmentation of a DICOM series as a DICOM Segmentation object, through pydicom.

Source: DICOM PS3.3, A.51 (Segmentation IOD) and C.8.20. Every frame states its own place, that of the slice it belongs
to; frames without any voxel are left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds

from data_preprocessing.common.colors import distinct_colors, lab, rgb
from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import atomic_path
from data_preprocessing.images.formats.dicom import sorted_slices
from data_preprocessing.images.formats.dicom_series import find_series
from data_preprocessing.images.formats.dicom_slices import Slice
from data_preprocessing.images.nifti_file import NiftiImage
from data_preprocessing.images.orientation import from_ras_zyx
from nnunet_tf.version import VERSION

STORAGE = UID("1.2.840.10008.5.1.4.1.1.66.4")  # Segmentation Storage
PROGRAM = "nnunet-tf"
SERIES_NUMBER = 9100
MOST_BYTES = 2**32 - 2  # of an element
COPIED = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime",
    "ReferringPhysicianName", "StudyID", "AccessionNumber",
)  # fmt: skip
COPIED_IF_THERE = (
    "SpecificCharacterSet", "StudyDescription", "PatientAge", "PatientSize", "PatientWeight", "BodyPartExamined",
)  # fmt: skip
ANATOMICAL_STRUCTURE = ("123037004", "SCT", "Anatomical Structure")
TISSUE = ("85756007", "SCT", "Tissue")
SOURCE_IMAGE = ("121322", "DCM", "Source image for image processing operation")
SEGMENTATION = ("113076", "DCM", "Segmentation")
Frame = tuple[int, int, np.ndarray]  # segment and slice, from 0 on, and the pixels (row, column), bool


def write_segmentation(
    path: Path, folder: Path, labels: np.ndarray, source: NiftiImage, names: Mapping[int, str]
) -> None:
    """Writes label numbers `(z, y, x)`, RAS+, of the series in `folder`, which was read as `source`, atomically.

    Each of `names` but the background (0) becomes a segment, numbered from 1 on in their order. Raises UserError where
    the series has changed, or where the object would be larger than DICOM can hold.
    """
    slices = sorted_slices(folder, find_series(folder).slices)
    stored = from_ras_zyx(labels, source.affine)  # (column, row, slice), as the series was read
    if stored.shape != (*slices[0].shape, len(slices)):
        raise UserError(f"{folder}: its slices have changed since it was read; predict again")
    numbers = [number for number in names if number]
    headers = {file: dcmread(file, stop_before_pixels=True) for file in dict.fromkeys(each.path for each in slices)}
    frames, bits = _frames(stored, numbers)
    if len(bits) > MOST_BYTES:
        raise UserError(f"{path}: the object would be larger than 4 GiB; choose structures with --roi-subset")
    dataset = _header(headers[slices[0].path], slices)
    dataset.SegmentSequence = _segments([names[number] for number in numbers], numbers)
    dataset.ReferencedSeriesSequence = [_referenced_series(headers)]
    dataset.NumberOfFrames = len(frames)
    _state_dimensions(dataset)
    dataset.SharedFunctionalGroupsSequence = [_shared(slices)]
    dataset.PerFrameFunctionalGroupsSequence = [
        _frame(segment, place, slices[place], headers) for segment, place in frames
    ]
    dataset.PixelData = bits + b"\0" * (len(bits) % 2)
    dataset["PixelData"].VR = "OB"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = STORAGE
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    with atomic_path(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)


def _frames(stored: np.ndarray, numbers: Sequence[int]) -> tuple[list[tuple[int, int]], bytes]:
    """Segment and slice of each frame, and all their bits, one after another without gaps."""
    places: list[tuple[int, int]] = []
    packed: list[bytes] = []
    rest = np.zeros(0, bool)
    for segment, place, pixels in _masks(stored, numbers):
        places.append((segment, place))
        bits = np.concatenate([rest, pixels.ravel()])
        whole = len(bits) // 8 * 8
        packed.append(np.packbits(bits[:whole], bitorder="little").tobytes())
        rest = bits[whole:]
    packed.append(np.packbits(rest, bitorder="little").tobytes())
    return places, b"".join(packed)


def _masks(stored: np.ndarray, numbers: Sequence[int]) -> Iterator[Frame]:
    """Frames that hold anything, segment by segment; one empty frame where none does, as there must be one."""
    present = [set(np.unique(stored[..., place]).tolist()) for place in range(stored.shape[2])]
    if not any(number in found for found in present for number in numbers):
        yield 0, 0, np.zeros((stored.shape[1], stored.shape[0]), bool)
    for segment, number in enumerate(numbers):
        for place, found in enumerate(present):
            if number in found:
                yield segment, place, np.equal(stored[..., place], number).T


def _header(first: Dataset, slices: Sequence[Slice]) -> Dataset:
    """The object without its segments and frames."""
    dataset, now = Dataset(), datetime.now()
    for keyword in COPIED:
        setattr(dataset, keyword, first.get(keyword, ""))
    for keyword in COPIED_IF_THERE:
        if keyword in first:
            setattr(dataset, keyword, first[keyword].value)
    date, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    columns, rows = slices[0].shape
    fields = {
        "SOPClassUID": STORAGE, "SOPInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid(),
        "Modality": "SEG", "SeriesNumber": SERIES_NUMBER, "SeriesDescription": f"Segmentation by {PROGRAM}",
        "SeriesDate": date, "SeriesTime": time, "ContentDate": date, "ContentTime": time, "InstanceNumber": 1,
        "FrameOfReferenceUID": first.get("FrameOfReferenceUID") or generate_uid(), "PositionReferenceIndicator": "",
        "Manufacturer": PROGRAM, "ManufacturerModelName": PROGRAM, "DeviceSerialNumber": "0",
        "SoftwareVersions": VERSION, "ImageType": ["DERIVED", "PRIMARY"], "ContentLabel": "SEGMENTATION",
        "ContentDescription": f"Segmentation by {PROGRAM}", "ContentCreatorName": "", "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "Rows": rows, "Columns": columns, "BitsAllocated": 1,
        "BitsStored": 1, "HighBit": 0, "PixelRepresentation": 0, "LossyImageCompression": "00",
        "SegmentationType": "BINARY",
    }  # fmt: skip
    for keyword, value in fields.items():
        setattr(dataset, keyword, value)
    return dataset


def _segments(names: Sequence[str], numbers: Sequence[int]) -> list[Dataset]:
    segments = []
    for place, (name, number, color) in enumerate(zip(names, numbers, distinct_colors(len(names)), strict=True), 1):
        segment = Dataset()
        segment.SegmentNumber = place
        segment.SegmentLabel = name[:64]  # as long as its kind of element may be
        segment.SegmentDescription = f"label {number}"
        segment.SegmentAlgorithmType = "AUTOMATIC"
        segment.SegmentAlgorithmName = f"{PROGRAM} {VERSION}"
        segment.SegmentedPropertyCategoryCodeSequence = [_code(ANATOMICAL_STRUCTURE)]
        segment.SegmentedPropertyTypeCodeSequence = [_code(TISSUE)]
        segment.RecommendedDisplayCIELabValue = _display_lab(color)
        segments.append(segment)
    return segments


def _referenced_series(headers: Mapping[Path, Dataset]) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = next(iter(headers.values())).SeriesInstanceUID
    series.ReferencedInstanceSequence = [_reference(header) for header in headers.values()]
    return series


def _reference(header: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    return reference


def _state_dimensions(dataset: Dataset) -> None:
    """States that frames are told apart by segment and position."""
    organization = Dataset()
    organization.DimensionOrganizationUID = generate_uid()
    dataset.DimensionOrganizationSequence = [organization]
    pointers = []
    for tag, group, label in (
        (0x0062000B, 0x0062000A, "ReferencedSegmentNumber"),
        (0x00200032, 0x00209113, "ImagePositionPatient"),
    ):
        pointer = Dataset()
        pointer.DimensionOrganizationUID = organization.DimensionOrganizationUID
        pointer.DimensionIndexPointer, pointer.FunctionalGroupPointer = tag, group
        pointer.DimensionDescriptionLabel = label
        pointers.append(pointer)
    dataset.DimensionIndexSequence = pointers


def _shared(slices: Sequence[Slice]) -> Dataset:
    first, shared, measures, plane = slices[0], Dataset(), Dataset(), Dataset()
    along_columns, along_rows = first.spacing
    measures.PixelSpacing = [_decimal(along_rows), _decimal(along_columns)]  # DICOM states that of rows first
    measures.SliceThickness = _decimal(first.thickness)
    if len(slices) > 1:
        depth = float((slices[-1].position - first.position) @ first.normal)
        measures.SpacingBetweenSlices = _decimal(depth / (len(slices) - 1))
    plane.ImageOrientationPatient = [_decimal(value) for value in first.directions.ravel()]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    return shared


def _frame(segment: int, place: int, of: Slice, headers: Mapping[Path, Dataset]) -> Dataset:
    """The functional groups of one frame, at the place of the slice it belongs to."""
    content, position, identification = Dataset(), Dataset(), Dataset()
    content.DimensionIndexValues = [segment + 1, place + 1]
    position.ImagePositionPatient = [_decimal(value) for value in of.position]
    identification.ReferencedSegmentNumber = segment + 1
    origin = _reference(headers[of.path])
    if headers[of.path].get("NumberOfFrames"):
        origin.ReferencedFrameNumber = of.frame + 1
    origin.PurposeOfReferenceCodeSequence = [_code(SOURCE_IMAGE)]
    derivation = Dataset()
    derivation.DerivationCodeSequence, derivation.SourceImageSequence = [_code(SEGMENTATION)], [origin]
    frame = Dataset()
    frame.FrameContentSequence, frame.PlanePositionSequence = [content], [position]
    frame.SegmentIdentificationSequence, frame.DerivationImageSequence = [identification], [derivation]
    return frame


def _code(code: tuple[str, str, str]) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code
    return item


def _decimal(value: float) -> str:
    return format_number_as_ds(float(value))


def _display_lab(color: str) -> list[int]:
    """A color in DICOM's scale of CIELAB: PS3.3, C.10.7.1.1."""
    lightness, a, b = lab(np.array([rgb(color)]))[0]
    scaled = (lightness / 100 * 65535, (a + 128) / 255 * 65535, (b + 128) / 255 * 65535)
    return [int(np.clip(round(value), 0, 65535)) for value in scaled]
