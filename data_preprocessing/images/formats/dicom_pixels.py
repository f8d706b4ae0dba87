"""Decode the pixels of DICOM slices: the numbers stored, then slope and intercept, checked against the header.

No windows, tables or inversions are applied, as they are about display.
"""

import io
import struct
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import imagecodecs
import numpy as np
from pydicom import FileDataset, dcmread
from pydicom.encaps import generate_fragments, get_frame, parse_basic_offsets
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import get_j2k_parameters
from pydicom.uid import (
    HTJ2K,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from data_preprocessing.images.checks.finding import Row, Unusable, unusable
from data_preprocessing.images.formats.dicom_file import INVALID, damaged
from data_preprocessing.images.formats.dicom_slices import EXPORT_AGAIN, PixelFormat, Slice
from data_preprocessing.images.formats.dicom_stream import open_dicom

DECOMPRESS = "decompress it with gdcmconv --raw"
END_OF_IMAGE = b"\xff\xd9"  # of JPEG, JPEG-LS and JPEG 2000 alike
STARTS = (b"\xff\xd8", b"\xff\x4f")
PADDING = 16  # bytes after the end: pixels are padded to an even length, some writers add more
RLE_HEADER, RLE_PADDING = 64, 2  # bytes
PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)
RESULT_TYPES = (np.uint8, np.int16, np.uint16, np.int32, np.uint32)
Decode = Callable[[bytes], np.ndarray]
DECODERS: dict[UID, Decode] = {
    **dict.fromkeys(JPEGTransferSyntaxes, imagecodecs.jpeg_decode),
    **dict.fromkeys(JPEGLSTransferSyntaxes, imagecodecs.jpegls_decode),
    **dict.fromkeys(JPEG2000TransferSyntaxes, imagecodecs.jpeg2k_decode),
    **dict.fromkeys((HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL), imagecodecs.htj2k_decode),
}


def result_type(slices: Sequence[Slice]) -> np.dtype:
    """Returns the type for the numbers of all slices: integers where slopes and intercepts are, else float32."""
    scaled = {(each.slope, each.intercept, each.pixels) for each in slices}
    if any(not (slope.is_integer() and intercept.is_integer()) for slope, intercept, _ in scaled):
        return np.dtype(np.float32)
    if any(pixels.dtype.kind == "f" for _, _, pixels in scaled):
        return np.dtype(np.float32)
    ends = [slope * limit + intercept for slope, intercept, pixels in scaled for limit in pixels.limits]
    for kind in RESULT_TYPES:
        if np.iinfo(kind).min <= min(ends) and max(ends) <= np.iinfo(kind).max:
            return np.dtype(kind)
    return np.dtype(np.float32)


def read_voxels(slices: Sequence[Slice]) -> np.ndarray:
    """Returns the voxels `(slice, row, column)` of slices of one size, rescaled, in the type of `result_type`.

    Raises Unusable for a file that is damaged, compressed in a way that is not read, or other than its header says.
    """
    columns, rows = slices[0].shape
    voxels = np.empty((len(slices), rows, columns), result_type(slices))
    places: dict[object, list[int]] = {}
    for place, each in enumerate(slices):
        places.setdefault(each.path, []).append(place)
    for of_file in places.values():
        pixels = _FilePixels(slices[of_file[0]])
        for place in of_file:
            _rescale(pixels.frame(slices[place]), slices[place], voxels[place])
    return voxels


def _rescale(stored: np.ndarray, source: Slice, voxels: np.ndarray) -> None:
    if voxels.dtype.kind == "f":
        voxels[...] = stored * source.slope + source.intercept  # in float64
        return
    # The results have room in the type of the voxels. What comes before them may not, as a slope of -1 in uint8, but
    # wraps around and back: integers are exact in that arithmetic.
    slope, intercept = (
        np.array(int(number), np.int64).astype(voxels.dtype) for number in (source.slope, source.intercept)
    )
    voxels[...] = stored
    if source.slope != 1:
        voxels *= slope
    if source.intercept != 0:
        voxels += intercept


class _FilePixels:
    """The pixels of one file, which is read whole; `first` is any of its slices."""

    def __init__(self, first: Slice) -> None:
        self.path = first.path
        try:
            with warnings.catch_warnings(action="ignore"), open_dicom(self.path) as stream:
                self.dataset: FileDataset = dcmread(stream, force=True)
                self.syntax = _transfer_syntax(self.dataset)
                if self.syntax not in (*PLAIN, *DECODERS, RLELossless):
                    problem = f"its pixels are encoded as {self.syntax.name}, which is not read"
                    raise unusable(self.path, Row.UNREADABLE, problem, DECOMPRESS)
                self.frames = int(self.dataset.get("NumberOfFrames") or 1)
                self._check_count(first)
        except Unusable:
            raise
        except INVALID:
            raise damaged(self.path) from None

    def frame(self, source: Slice) -> np.ndarray:
        """Returns the numbers stored of one slice, `(row, column)`, in the type the header states."""
        try:
            with warnings.catch_warnings(action="ignore"):
                stored = self._plain(source) if self.syntax in PLAIN else self._compressed(source)
        except Unusable:
            raise
        except (*INVALID, RuntimeError):  # imagecodecs' own errors are of the latter
            raise damaged(self.path) from None
        if stored.shape != source.shape[::-1]:
            problem = f"its pixels are {stored.shape}, where its header says {source.shape[::-1]}"
            raise unusable(self.path, Row.UNREADABLE, problem, EXPORT_AGAIN)
        return stored

    def _plain(self, source: Slice) -> np.ndarray:
        options: dict[str, Any] = {
            "number_of_frames": self.frames,
            "samples_per_pixel": 1,
            "photometric_interpretation": "MONOCHROME2",
            "pixel_representation": int(source.pixels.dtype.kind == "i"),
            "bits_stored": source.pixels.stored,
            "correct_unused_bits": False,  # by BitsStored alone; _of_bits goes by HighBit too
        }
        array, _ = get_decoder(self.syntax).as_array(self.dataset, index=source.frame, raw=True, **options)
        return array if source.pixels.dtype.kind == "f" else _of_bits(array, source.pixels)

    def _compressed(self, source: Slice) -> np.ndarray:
        encoded, pixels, stored = self._encoded(source.frame), source.pixels, source.pixels.stored
        if self.syntax == RLELossless:
            return _of_bits(_decode_rle(encoded, source).view(pixels.dtype), pixels)
        if END_OF_IMAGE not in encoded[-PADDING:]:
            raise damaged(self.path)
        decoded = DECODERS[self.syntax](encoded)
        if decoded.dtype.kind not in "iu" or decoded.dtype.itemsize * 8 > pixels.allocated:
            problem = f"its pixels are {decoded.dtype}, where its header says {pixels.allocated} bits"
            raise unusable(self.path, Row.UNREADABLE, problem, EXPORT_AGAIN)
        if self.syntax in JPEG2000TransferSyntaxes:
            stored = min(stored, get_j2k_parameters(encoded).get("precision", stored))
        # Codestreams hold right-aligned numbers, and those of JPEG know no sign.
        return _of_bits(decoded.astype(pixels.dtype), PixelFormat(pixels.dtype, pixels.allocated, stored, stored - 1))

    def _encoded(self, frame: int) -> bytes:
        offsets, lengths = (self.dataset.get(f"ExtendedOffsetTable{name}") for name in ("", "Lengths"))
        extended = (offsets, lengths) if offsets and lengths else None
        return get_frame(self.dataset.PixelData, frame, number_of_frames=self.frames, extended_offsets=extended)

    def _check_count(self, first: Slice) -> None:
        """As many frames of pixels as the header says: what is there in addition would be left behind."""
        value = next((self.dataset[keyword].value for keyword in PIXEL_KEYWORDS if keyword in self.dataset), None)
        if value is None:
            raise damaged(self.path)
        if self.syntax not in PLAIN:
            stream, starts = io.BytesIO(value), STARTS if self.syntax in DECODERS else (b"",)
            offsets = parse_basic_offsets(stream)
            found = max(len(offsets), sum(part.startswith(starts) for part in generate_fragments(stream)))
        else:
            found = len(value) // (first.shape[0] * first.shape[1] * first.pixels.allocated // 8)
        if found > self.frames:
            problem = f"holds {found} frames, where its header says {self.frames}"
            raise unusable(self.path, Row.UNREADABLE, problem, EXPORT_AGAIN)


def _decode_rle(encoded: bytes, source: Slice) -> np.ndarray:
    """The numbers `(row, column)` of a frame whose bytes are compressed apart, the highest ones first."""
    columns, rows = source.shape
    size = source.pixels.dtype.itemsize
    count, *offsets = struct.unpack("<16L", encoded[:RLE_HEADER])
    ends = [*offsets[1:count], len(encoded)]
    planes = [imagecodecs.packbits_decode(encoded[start:end]) for start, end in zip(offsets, ends, strict=False)]
    if len(planes) != size or not all(0 <= len(plane) - rows * columns <= RLE_PADDING for plane in planes):
        problem = (
            f"its pixels are {len(planes)} x {len(planes[0])} bytes, where its header says {size} x {rows * columns}"
        )
        raise unusable(source.path, Row.UNREADABLE, problem, EXPORT_AGAIN)
    numbers = np.stack([np.frombuffer(plane, np.uint8, rows * columns) for plane in reversed(planes)], axis=-1)
    return numbers.view(f"<u{size}").reshape(rows, columns)


def _transfer_syntax(dataset: FileDataset) -> UID:
    """How the pixels are encoded; of a file without that statement, how its header is."""
    stated = dataset.file_meta.get("TransferSyntaxUID")
    if not stated:
        implicit, little = dataset.original_encoding
        plain = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        dataset.file_meta.TransferSyntaxUID = plain if little else ExplicitVRBigEndian
        return dataset.file_meta.TransferSyntaxUID
    return UID(stated)


def _of_bits(array: np.ndarray, pixels: PixelFormat) -> np.ndarray:
    """The stored bits of each number alone, with their sign: the others may hold overlays, or anything."""
    if pixels.stored == pixels.allocated:
        return array
    up = pixels.dtype.type(pixels.allocated - 1 - pixels.high)
    down = pixels.dtype.type(pixels.allocated - pixels.stored)
    return (array << up) >> down
