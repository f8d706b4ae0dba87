"""PNG, BMP and JPEG: pixels count as 1 x 1, are the numbers stored, and nothing is flipped.

The voxel axes are column and row, on the identity as affine. Pillow decodes them, imagecodecs what Pillow cuts down
to 8 bits or cannot read; both are held to the file's own header.
"""

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from data_preprocessing.common.errors import UserError
from data_preprocessing.images.checks.file_format import COPY_AGAIN
from data_preprocessing.images.checks.finding import Row, unusable
from data_preprocessing.images.formats.picture_header import COLOURS, KINDS, PictureHeader, parse
from data_preprocessing.images.formats.stored import PictureGrid, Stored, no_voxels
from data_preprocessing.images.limits import check_size, out_of_memory
from data_preprocessing.images.nifti_file import NiftiImage

MOST_BEFORE_FRAME = 2**22  # bytes of a JPEG's metadata before its size
LOST = "(Corrupt EXIF data|Truncated File Read)"  # what Pillow only warns of
DAMAGE = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError,
    UserWarning, struct.error, zlib.error, RuntimeError,
)  # fmt: skip


def read(path: Path, as_label: bool) -> Stored:
    """Returns pixels `(column, row, 1)`, of a colour image `(column, row, 1, 3)`; alpha is dropped.

    A palette's indices are the numbers `as_label`, its colours else. Raises Unusable for a file that is damaged, or
    another kind of file than its name says.
    """
    content = path.read_bytes()
    header = parse(path, content)
    _check_size(path, header, len(content))
    with _decoding(path):
        if header.bits > 8 and (header.samples > 1 or header.kind == "JPEG"):
            pixels = _deep_pixels(path, header, content)
        else:
            pixels = _pixels(path, header, content, as_label)
    expected = (header.height, header.width, *pixels.shape[2:])
    if pixels.shape != expected or pixels.dtype != header.dtype or pixels.shape[2:] not in ((), (COLOURS,)):
        problem = f"{pixels.dtype} pixels of shape {pixels.shape} were decoded where its header says otherwise"
        raise unusable(path, Row.UNREADABLE, problem, "save it as PNG of 8 or 16 bits, grey or RGB")
    return _stored(pixels[np.newaxis].transpose((2, 1, 0, 3)[: pixels.ndim + 1]))


def look(path: Path) -> Stored:
    """Returns the shape and type of pixels without reading them; raises as `read` does.

    A palette counts as colours.
    """
    with open(path, "rb") as stream:
        header = parse(path, stream.read(MOST_BEFORE_FRAME))
    if header.kind == "PNG":
        with _decoding(path), Image.open(path, formats=["PNG"]) as image:
            _check_still(path, image)
    channels = COLOURS if header.has_palette else header.channels
    return _stored(no_voxels((header.width, header.height, 1, *((channels,) if channels > 1 else ())), header.dtype))


def write(path: Path, image: NiftiImage) -> None:
    """Writes label numbers `(column, row, 1)`, 8 bits or 16; raises UserError for numbers the format cannot hold."""
    plane = np.asarray(image.dataobj).T[0]
    highest, kind = int(plane.max()), KINDS[path.suffix.lower()]
    check_highest(highest, kind, np.uint8 if kind == "BMP" else np.uint16)
    Image.fromarray(np.ascontiguousarray(plane, np.min_scalar_type(highest))).save(path, kind)


def check_highest(highest: int, kind: str, dtype: type) -> None:
    """Raises UserError where a file of `kind`, which holds numbers of `dtype`, has no room for label `highest`."""
    limit = np.iinfo(dtype).max
    if highest > limit:
        raise UserError(f"a {kind} file holds numbers up to {limit}, and there is label {highest}; convert the images")


def _check_size(path: Path, header: PictureHeader, length: int) -> None:
    """A PNG's pixels are deflated, and of less than 8 bits each at times."""
    shape = (header.width, header.height, header.samples)
    if header.kind == "PNG":
        check_size(path, (header.width * header.bits // 8, *shape[1:]), 1, length)
    check_size(path, shape, header.dtype.itemsize)


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """What is wrong with a file becomes one line; its size is judged by the memory there is, not by Pillow."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings(action="ignore"):
            warnings.filterwarnings("error", message=LOST)
            yield
    except UserError:
        raise
    except MemoryError:
        raise out_of_memory(path) from None
    except DAMAGE as error:
        # Without the file's name, or the address of an object, that Pillow adds.
        kind, reason = KINDS[path.suffix.lower()], re.split(" ['<]", " ".join(str(error).split()))[0]
        problem = f"not a valid {kind} file, or truncated ({reason})"
        raise unusable(path, Row.UNREADABLE, problem, f"{COPY_AGAIN}, or save it anew as PNG") from None
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _check_still(path: Path, image: Image.Image) -> None:
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise unusable(path, Row.UNREADABLE, "it is animated", "save one of its frames as a file of its own")


def _pixels(path: Path, header: PictureHeader, content: bytes, as_label: bool) -> np.ndarray:
    """`(row, column)` or `(row, column, 3)`, through Pillow."""
    plugins = [header.kind, "MPO"] if header.kind == "JPEG" else [header.kind]
    if header.kind == "PNG":
        with Image.open(io.BytesIO(content), formats=plugins) as image:
            image.verify()  # the checksums, which reading passes over
    with Image.open(io.BytesIO(content), formats=plugins) as image:
        _check_still(path, image)
        image.load()
        if header.has_palette and (as_label or image.mode in ("1", "L")):  # of a grey palette those are its indices
            return np.array(image).astype(np.uint8, copy=False)
        if header.has_palette:
            palette = image.getpalette() or []  # three numbers a colour; Pillow takes what is beyond for black
            if 3 * int(np.array(image).max()) >= len(palette):
                raise ValueError("an index beyond the palette")
            return np.array(image.convert("RGB"))
        pixels = np.array(image)
    if pixels.dtype == bool:
        return pixels.astype(np.uint8)
    if pixels.ndim > 2:
        pixels = pixels[..., : header.channels]
        pixels = pixels[..., 0] if header.channels == 1 else pixels
    if header.bits < 8:  # Pillow stretches them to 0 ... 255
        pixels = pixels // (255 // (2**header.bits - 1))
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _deep_pixels(path: Path, header: PictureHeader, content: bytes) -> np.ndarray:
    """The same of more than 8 bits a sample, through imagecodecs."""
    import imagecodecs

    if header.kind == "PNG":
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            _check_still(path, image)
            image.verify()
        pixels = imagecodecs.png_decode(content)
    else:
        pixels = imagecodecs.jpeg_decode(content)
    pixels = np.asarray(pixels).reshape(header.height, header.width, -1)
    return pixels[..., :COLOURS] if header.channels == COLOURS else pixels[..., 0]


def _stored(voxels: np.ndarray) -> Stored:
    return Stored(voxels, np.eye(4), PictureGrid(in_colours=voxels.ndim > COLOURS))
