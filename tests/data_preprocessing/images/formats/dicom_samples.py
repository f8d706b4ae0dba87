"""DICOM files of any content, written with pydicom."""

from collections.abc import Sequence
from pathlib import Path

import imagecodecs
import numpy as np
from pydicom import Dataset, FileMetaDataset, uid
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders import RLELosslessEncoder

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
SPACING = (0.5, 0.7, 2.0)  # of columns, rows and slices
ROWS, COLUMNS = 10, 12


def stored_numbers(slices: int = 6, low: int = 0, high: int = 3000, dtype: type = np.uint16) -> np.ndarray:
    """Returns `(slice, row, column)`."""
    return np.random.default_rng(0).integers(low, high, (slices, ROWS, COLUMNS)).astype(dtype)


def header(pixels: np.ndarray, k: int = 0, **changes) -> Dataset:
    """Returns a CT slice, number `k` from the feet, without its pixels; a change to None leaves an element out."""
    dataset = Dataset()
    fields = {
        "SOPClassUID": CT,
        "SOPInstanceUID": f"1.2.3.4.5.{k + 1}",
        "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "SeriesDescription": "axial",
        "PatientID": "one",
        "StudyInstanceUID": "1.2.3.4",
        "SeriesInstanceUID": "1.2.3.4.5",
        "InstanceNumber": k + 1,
        "SliceThickness": SPACING[2],
        "ImagePositionPatient": [-10, -20, 5 + k * SPACING[2]],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "PixelSpacing": [SPACING[1], SPACING[0]],
        "BitsAllocated": pixels.dtype.itemsize * 8,
        "BitsStored": pixels.dtype.itemsize * 8,
        "HighBit": None,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "RescaleIntercept": -1024,
        "RescaleSlope": 1,
    } | changes
    if fields["HighBit"] is None and fields["BitsStored"] is not None:
        fields["HighBit"] = fields["BitsStored"] - 1
    for name, value in fields.items():
        if value is not None:
            setattr(dataset, name, value)
    return dataset


def save_dataset(path: Path, dataset: Dataset, syntax: str = uid.ExplicitVRLittleEndian, preamble: bool = True) -> Path:
    """Writes a data set, with preamble and file meta information or without both."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not preamble:
        dataset.save_as(
            path,
            implicit_vr=syntax == uid.ImplicitVRLittleEndian,
            little_endian=syntax != uid.ExplicitVRBigEndian,
        )
        return path
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.UID(syntax)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", CT)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "1.2.3")
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_slice(
    path: Path,
    pixels: np.ndarray,
    k: int = 0,
    syntax: str = uid.ExplicitVRLittleEndian,
    preamble: bool = True,
    **changes,
) -> Path:
    """Writes one slice, compressed where the transfer syntax says so."""
    dataset = header(pixels, k, **changes)
    if uid.UID(syntax).is_encapsulated:
        dataset.PixelData = encapsulate([encode(pixels, syntax, dataset)])
    else:
        big = syntax == uid.ExplicitVRBigEndian
        content = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")).tobytes()
        if big and pixels.dtype.itemsize == 1:  # as words
            content = np.frombuffer(content, np.uint16).byteswap().tobytes()
        dataset.PixelData = content
    dataset["PixelData"].VR = "OB" if uid.UID(syntax).is_encapsulated else "OW"
    return save_dataset(path, dataset, syntax, preamble)


def encode(pixels: np.ndarray, syntax: str, dataset: Dataset) -> bytes:
    """Returns one compressed frame."""
    unsigned = pixels.view(pixels.dtype.str.replace("i", "u"))
    if syntax == uid.RLELossless:
        return RLELosslessEncoder.encode(
            pixels.tobytes(), rows=pixels.shape[0], columns=pixels.shape[1], samples_per_pixel=1,
            bits_allocated=dataset.BitsAllocated, bits_stored=dataset.BitsStored, number_of_frames=1,
            pixel_representation=dataset.PixelRepresentation, photometric_interpretation="MONOCHROME2",
        )  # fmt: skip
    if syntax in uid.JPEG2000TransferSyntaxes:
        return imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", bitspersample=dataset.BitsStored)
    if syntax in uid.JPEGLSTransferSyntaxes:
        return imagecodecs.jpegls_encode(unsigned)
    if syntax == uid.JPEGBaseline8Bit:
        return imagecodecs.jpeg_encode(unsigned, level=95)
    return imagecodecs.jpeg_encode(unsigned, lossless=True, bitspersample=dataset.BitsAllocated)


def write_folder(folder: Path, stored: np.ndarray, order: Sequence[int] | None = None, **changes) -> list[Path]:
    """Writes one file per slice; the names are in another order than the slices."""
    ranks = order or [(k * 7 + 3) % len(stored) for k in range(len(stored))]
    return [write_slice(folder / f"IM{ranks[k]:04d}", pixels, k, **changes) for k, pixels in enumerate(stored)]


def write_object(path: Path, storage: str, **elements) -> Path:
    """Writes an object that is no image."""
    dataset = Dataset()
    fields = {"SOPClassUID": storage, "SOPInstanceUID": "1.2.3.9", "SeriesInstanceUID": f"1.2.3.8.{len(storage)}"}
    for name, value in (fields | elements).items():
        setattr(dataset, name, value)
    return save_dataset(path, dataset)


def write_enhanced(path: Path, stored: np.ndarray, order: Sequence[int], **changes) -> Path:
    """Writes one multi-frame file whose frame `i` is slice `order[i]`, with slope 1 + i and intercept 10 * i."""
    dataset = header(
        stored[0], SOPClassUID=ENHANCED_MR, Modality="MR", ImagePositionPatient=None, ImageOrientationPatient=None,
        PixelSpacing=None, SliceThickness=None, RescaleSlope=None, RescaleIntercept=None, NumberOfFrames=len(order),
    )  # fmt: skip
    shared, plane, measures = Dataset(), Dataset(), Dataset()
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [SPACING[1], SPACING[0]], SPACING[2]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [plane], [measures]
    frames = []
    for index, k in enumerate(order):
        place, scaling, frame = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [-10, -20, 5 + k * SPACING[2]]
        scaling.RescaleSlope, scaling.RescaleIntercept, scaling.RescaleType = 1 + index, 10 * index, "US"
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [place], [scaling]
        frames.append(frame)
    dataset.SharedFunctionalGroupsSequence, dataset.PerFrameFunctionalGroupsSequence = [shared], frames
    for name, value in changes.items():
        setattr(dataset, name, value)
    dataset.PixelData = b"".join(stored[k].tobytes() for k in order)
    dataset["PixelData"].VR = "OW"
    return save_dataset(path, dataset)
