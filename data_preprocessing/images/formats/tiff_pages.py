"""The pages of a TIFF, checked against its own tags before and after tifffile decodes them.

tifffile stops without a word at a chain of pages that leads nowhere, and fills segments that are not there.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data_preprocessing.common.errors import UserError
from data_preprocessing.images.checks.file_format import COPY_AGAIN
from data_preprocessing.images.checks.finding import Row, unusable

if TYPE_CHECKING:
    from tifffile import TiffPage

MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
PHOTOMETRICS = (MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, YCBCR)
JPEG_COMPRESSIONS = (6, 7, 33007, 34892)
ALPHA = (1, 2)  # ExtraSamples: associated and not
SAVE_PLAIN = "save it as a plain TIFF: grey or RGB, one page a slice, LZW or deflate"


def count_pages(path: Path) -> int:
    """Returns how many pages the chain of a TIFF has; raises Unusable where it is cut off or runs in a circle."""
    with open(path, "rb") as stream:
        start = stream.read(16)
        order = "<" if start[:2] == b"II" else ">"
        is_big = start[2:4] in (b"+\0", b"\0+")
        count_form, entry_size, offset_form = ("Q", 20, "Q") if is_big else ("H", 12, "I")
        size, seen = path.stat().st_size, set()
        try:
            (offset,) = struct.unpack_from(order + offset_form, start, 8 if is_big else 4)
            while offset:
                if offset in seen:
                    raise _damaged(path, "its pages run in a circle")
                seen.add(offset)
                stream.seek(offset)
                (entries,) = struct.unpack(order + count_form, stream.read(struct.calcsize(count_form)))
                stream.seek(entries * entry_size, 1)
                (offset,) = struct.unpack(order + offset_form, stream.read(struct.calcsize(offset_form)))
                if offset >= size:
                    raise _damaged(path, f"page {len(seen) + 1} would begin at byte {offset} of {size}")
        except (struct.error, OverflowError, ValueError, OSError) as error:
            if isinstance(error, UserError):
                raise
            raise _damaged(path, f"page {max(len(seen), 1)} is cut off") from None
    return len(seen)


def check_page(path: Path, page: "TiffPage", as_label: bool) -> None:
    """Raises Unusable for a page whose pixels are no numbers that can be taken as they stand, or not all there."""
    from tifffile import TIFF

    compression = getattr(page.compression, "name", page.compression)
    if page.dtype is None or page.dtype.kind not in "iufb" or isinstance(page.bitspersample, tuple):
        problem = f"pixels of {page.bitspersample} bits (SampleFormat {page.sampleformat})"
        raise unusable(path, Row.VOXEL_TYPE, problem, "save it with one number a pixel, such as uint16 or float32")
    if not (_is_known(TIFF.DECOMPRESSORS, page.compression) and _is_known(TIFF.UNPREDICTORS, page.predictor)):
        problem = f"compression {compression} with predictor {int(page.predictor)}, which is not read"
        raise unusable(path, Row.UNREADABLE, problem, "save it with LZW or deflate")
    photometric = int(page.photometric)
    is_jpeg = int(page.compression) in JPEG_COMPRESSIONS
    if photometric not in PHOTOMETRICS or (photometric == YCBCR and not is_jpeg):
        name = getattr(page.photometric, "name", photometric)
        raise unusable(path, Row.UNREADABLE, f"colours as {name}, which are not read", "save it in grey or RGB")
    if as_label and is_jpeg:
        problem = f"a TIFF compressed as {compression} does not keep label numbers"
        raise unusable(path, Row.LOSSY_LABEL, problem, "save the label with LZW or deflate from its source")
    if 0 in page.shape:
        raise unusable(path, Row.NO_VOXELS, f"no pixels, shape {page.shape}", SAVE_PLAIN)
    _check_segments(path, page)


def decode(path: Path, page: "TiffPage") -> np.ndarray:
    """Returns the pixels of a checked page, `(slice, row, column, sample)`, without samples of alpha."""
    pixels = np.asarray(page.asarray(maxworkers=1))
    pixels = pixels.view(np.uint8) if pixels.dtype == bool else pixels
    if pixels.size != math.prod(page.shaped) or pixels.dtype != dtype_of(page):
        raise _damaged(path, f"{pixels.dtype} pixels of shape {pixels.shape} were decoded")
    pixels = pixels.reshape(page.shaped)
    samples = pixels[..., 0].transpose(1, 2, 3, 0) if page.shaped[4] == 1 else pixels[0]
    kept = [index for index in range(samples.shape[-1]) if not is_alpha(page, index)]
    return samples if len(kept) == samples.shape[-1] else samples[..., kept]


def dtype_of(page: "TiffPage") -> np.dtype:
    """Returns the type of a checked page's pixels, in this machine's byte order: uint8 of single bits."""
    return np.dtype(np.uint8 if page.dtype == bool else page.dtype).newbyteorder("=")


def count_channels(page: "TiffPage") -> int:
    """Returns how many samples of a pixel are left without alpha."""
    samples = page.shaped[0] * page.shaped[4]
    return sum(not is_alpha(page, index) for index in range(samples))


def is_alpha(page: "TiffPage", index: int) -> bool:
    """Returns whether a sample of a pixel is its opacity, as the ExtraSamples tag says."""
    extra: Sequence[int] = tuple(page.extrasamples)
    first = page.shaped[0] * page.shaped[4] - len(extra)
    return index >= first > 0 and int(extra[index - first]) in ALPHA


def colour_of_indices(page: "TiffPage", indices: np.ndarray) -> np.ndarray:
    """Returns the colours `(..., 3)` of a palette's indices: 8 bits where its 16 hold no more."""
    palette = np.asarray(page.colormap, np.uint16).T
    high = palette >> 8
    if np.isin(palette - (high << 8), (0,)).all() or np.array_equal(palette, high * 257):
        palette = high.astype(np.uint8)
    if indices.max(initial=0) >= len(palette):
        raise ValueError("an index beyond the palette")
    return palette[indices]


def _is_known(codecs: Mapping, code: int) -> bool:
    """Whether imagecodecs has it; 1 stands for none."""
    try:
        return int(code) == 1 or codecs[int(code)] is not None
    except KeyError:
        return False


def _check_segments(path: Path, page: "TiffPage") -> None:
    """Every strip or tile must be stated, and lie in the file."""
    expected = math.prod(page.chunked)
    offsets, lengths = page.dataoffsets, page.databytecounts
    size = path.stat().st_size
    if len(offsets) < expected or len(lengths) < expected:
        raise _damaged(path, f"{min(len(offsets), len(lengths))} of {expected} strips or tiles are stated")
    if not all(offset > 0 and length > 0 for offset, length in zip(offsets, lengths, strict=False)):
        raise unusable(path, Row.UNREADABLE, "strips or tiles without pixels (a sparse TIFF)", SAVE_PLAIN)
    if any(offset + length > size for offset, length in zip(offsets, lengths, strict=False)):
        raise _damaged(path, "strips or tiles lie past its end")


def _damaged(path: Path, reason: str) -> Exception:
    return unusable(path, Row.UNREADABLE, f"not a valid TIFF file, or truncated ({reason})", COPY_AGAIN)
