"""What a PNG, BMP or JPEG says of its pixels, parsed here: decoders are held to it."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_preprocessing.images.checks.file_format import CONVERT_AGAIN, COPY_AGAIN
from data_preprocessing.images.checks.finding import Row, unusable

KINDS = {".png": "PNG", ".bmp": "BMP", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}
SUFFIX_OF_KIND = {"PNG": ".png", "BMP": ".bmp", "JPEG": ".jpg", "TIFF": ".tif"}
MAGIC = {
    b"\x89PNG\r\n\x1a\n": "PNG", b"BM": "BMP", b"\xff\xd8\xff": "JPEG", b"II*\0": "TIFF", b"MM\0*": "TIFF",
    b"II+\0": "TIFF", b"MM\0+": "TIFF",
}  # fmt: skip
PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
PNG_PALETTE = 3
BMP_HEADERS = (40, 52, 56, 64, 108, 124)  # bytes; the first form, of 12, has other fields
BMP_WITH_PALETTE = (1, 4, 8)  # bits
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG's SOF markers
LOSSLESS_FRAMES = frozenset((0xC3, 0xC7, 0xCB, 0xCF))
ALONE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a length
SCAN, END = 0xDA, 0xD9
GREY, COLOURS = 1, 3


@dataclass(frozen=True)
class PictureHeader:
    """Size, bits of a sample, samples of a pixel with its alpha; `is_lossless` of a JPEG of that rare kind."""

    kind: str
    width: int
    height: int
    bits: int
    samples: int
    has_palette: bool = False
    is_lossless: bool = False

    @property
    def channels(self) -> int:
        """Samples without alpha."""
        return COLOURS if self.samples >= COLOURS else GREY

    @property
    def dtype(self) -> np.dtype:
        """The type that holds a sample."""
        return np.dtype(np.uint8 if self.bits <= 8 else np.uint16)


def parse(path: Path, content: bytes) -> PictureHeader:
    """Returns the header of a PNG, BMP or JPEG.

    Raises Unusable where the content is of another kind than the name says, or of a form that is not read.
    """
    stated = check_kind(path, content)
    try:
        header = {"PNG": _png, "BMP": _bmp, "JPEG": _jpeg}[stated](path, content)
    except (struct.error, IndexError):
        raise unusable(path, Row.UNREADABLE, f"not a valid {stated} file, or truncated (header)", COPY_AGAIN) from None
    if header.width < 1 or header.height < 1:
        raise unusable(path, Row.NO_VOXELS, f"no pixels, {header.width} x {header.height}", CONVERT_AGAIN)
    return header


def check_kind(path: Path, content: bytes) -> str:
    """Returns what the name says: PNG, BMP, JPEG or TIFF; raises Unusable where the content begins otherwise."""
    stated = KINDS[path.suffix.lower()]
    found = next((kind for magic, kind in MAGIC.items() if content.startswith(magic)), None)
    if found is None:
        raise unusable(path, Row.UNREADABLE, f"not a valid {stated} file (another content)", CONVERT_AGAIN)
    if found != stated:
        remedy = f"rename it to {path.stem}{SUFFIX_OF_KIND[found]}"
        raise unusable(path, Row.WRONG_SUFFIX, f"the content is {found}", remedy)
    return stated


def _png(path: Path, content: bytes) -> PictureHeader:
    length, name, width, height, bits, colour_type = struct.unpack_from(">I4sIIBB", content, 8)
    if name != b"IHDR" or length != 13 or colour_type not in PNG_SAMPLES or bits not in (1, 2, 4, 8, 16):
        raise unusable(path, Row.UNREADABLE, "not a valid PNG file (header)", CONVERT_AGAIN)
    return PictureHeader("PNG", width, height, bits, PNG_SAMPLES[colour_type], colour_type == PNG_PALETTE)


def _bmp(path: Path, content: bytes) -> PictureHeader:
    length = path.stat().st_size
    (size,) = struct.unpack_from("<I", content, 14)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", content, 18)
    elif size in BMP_HEADERS:
        width, height, _, bits = struct.unpack_from("<iiHH", content, 18)
    else:
        raise unusable(path, Row.UNREADABLE, f"a BMP header of {size} bytes, which is not read", "save it as PNG")
    if bits not in (*BMP_WITH_PALETTE, 24, 32):
        raise unusable(path, Row.UNREADABLE, f"a BMP of {bits} bits a pixel, which is not read", "save it as PNG")
    (start,) = struct.unpack_from("<I", content, 10)
    compression = 0 if size == 12 else struct.unpack_from("<I", content, 30)[0]
    missing = start + (width * bits + 31) // 32 * 4 * abs(height) - length
    if compression in (0, 3) and missing > 0:
        problem = f"not a valid BMP file, or truncated ({missing} bytes of pixels are missing)"
        raise unusable(path, Row.SHORTER_THAN_ITS_HEADER_SAYS, problem, COPY_AGAIN)
    has_palette = bits in BMP_WITH_PALETTE
    return PictureHeader("BMP", width, abs(height), 8, GREY if has_palette else bits // 8, has_palette)


def _jpeg(path: Path, content: bytes) -> PictureHeader:
    for marker, start in _segments(content):
        if marker in FRAMES:
            bits, height, width, samples = struct.unpack_from(">BHHB", content, start)
            if samples not in (GREY, COLOURS):
                raise unusable(path, Row.UNREADABLE, f"a JPEG of {samples} inks (CMYK)", "save it in grey or RGB")
            return PictureHeader("JPEG", width, height, bits, samples, is_lossless=marker in LOSSLESS_FRAMES)
        if marker in (SCAN, END):
            break
    raise unusable(path, Row.UNREADABLE, "not a valid JPEG file, or truncated (no frame)", COPY_AGAIN)


def _segments(content: bytes) -> Iterator[tuple[int, int]]:
    """Markers of a JPEG and where their fields begin."""
    position = 2
    while True:
        while content[position] == 0xFF and content[position + 1] == 0xFF:
            position += 1
        marker = content[position + 1]
        yield marker, position + 4
        position += 2 + (0 if marker in ALONE else struct.unpack_from(">H", content, position + 2)[0])
