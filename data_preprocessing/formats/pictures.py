"""PNG, BMP, JPEG and TIFF, through Pillow: pixels count as 1 x 1, and nothing is flipped.

The voxel axes are column, row and page, on the identity as affine. Pillow cuts colours of 16 bits down to 8: once it
has found a file undamaged, those are read by SimpleITK.
"""

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Image
from nibabel.nifti2 import Nifti2Image
from PIL import Image
from PIL.TiffImagePlugin import BITSPERSAMPLE, TiffImageFile

from data_preprocessing.checks.file_format import COPY_AGAIN
from data_preprocessing.checks.finding import Row, unusable
from data_preprocessing.errors import UserError
from data_preprocessing.formats.stored import Stored, check_memory, no_voxels

KINDS = {".png": "PNG", ".bmp": "BMP", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}
SUFFIX_OF_KIND = {"PNG": ".png", "BMP": ".bmp", "JPEG": ".jpg", "TIFF": ".tif"}
NEW_SUBFILE_TYPE, REDUCED = 254, 1  # TIFF: a small copy of another page
DEEP_PNG_COLOURS = (2, 4, 6)  # colour types of PNG with more than one channel
GREY = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")
COLOURS = 3
SMALLEST_PNG_HEADER = 26
LOST = "(Corrupt EXIF data|Truncated File Read)"  # what Pillow only warns of: pages may be missing after it
DAMAGE = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError,
    UserWarning, struct.error, zlib.error,
)  # fmt: skip


def read(path: Path, as_label: bool) -> Stored:
    """Returns pixels `(column, row, page)`, of a colour image `(column, row, page, 3)`; alpha is dropped.

    With `as_label` a palette's indices are the numbers. Raises Unusable for a file that is damaged, or another kind of
    file than its name says.
    """
    content = path.read_bytes()
    with _decoding(path):
        kind = _kind(path, content)
        if kind == "PNG":
            with Image.open(io.BytesIO(content), formats=[kind]) as image:
                image.verify()  # the checksums, which reading passes over
        with Image.open(io.BytesIO(content), formats=_plugins(kind)) as image:
            _check_still(path, image)
            shape, depth = _shape(image, kind), _bytes_a_pixel(image)
            check_memory(path, int(np.prod(shape)) * depth)
            deep = _is_deep(image, kind, content)
            pages = [_pixels(image, as_label) for _ in _pages(image, kind)]
    if len({page.shape for page in pages}) > 1:
        raise unusable(path, Row.UNREADABLE, "its pages differ in size", "give each size a file of its own")
    plain = np.stack(pages) if len(pages) > 1 else pages[0][np.newaxis]
    stacked = _deep_colours(path, shape) if deep else plain
    axes = (2, 1, 0, 3)[: stacked.ndim]
    return Stored(stacked.transpose(axes), np.eye(4))


def look(path: Path) -> Stored:
    """Returns the shape and type of pixels without reading them; raises as `read` does."""
    with _decoding(path), Image.open(path, formats=_plugins(KINDS[path.suffix.lower()])) as image:
        _check_still(path, image)
        shape = _shape(image, KINDS[path.suffix.lower()])
        dtype = np.dtype(np.uint8 if _bytes_a_pixel(image) == len(image.getbands()) else np.float32)
        return Stored(no_voxels(shape, dtype), np.eye(4))


def write(path: Path, image: Nifti1Image | Nifti2Image) -> None:
    """Writes label numbers `(column, row, page)`, 8 bits or 16; raises UserError for numbers the format cannot hold."""
    pages = np.asarray(image.dataobj).T
    highest, kind = int(pages.max()), KINDS[path.suffix.lower()]
    limit = np.iinfo(np.uint8 if kind == "BMP" else np.uint16).max
    if highest > limit:
        raise UserError(f"a {kind} file holds numbers up to {limit}, and there is label {highest}; convert the images")
    pictures = [Image.fromarray(page) for page in np.ascontiguousarray(pages, np.min_scalar_type(highest))]
    if kind == "TIFF":
        pictures[0].save(path, kind, save_all=True, append_images=pictures[1:], compression="tiff_lzw")
    else:
        pictures[0].save(path, kind)


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """What is wrong with a file becomes one line; its size is judged by the memory there is, not by Pillow."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings(action="ignore"):
            warnings.filterwarnings("error", message=LOST)
            yield
    except DAMAGE as error:
        # Without the file's name, or the address of an object, that Pillow adds.
        kind, reason = KINDS[path.suffix.lower()], re.split(" ['<]", " ".join(str(error).split()))[0]
        raise unusable(path, Row.UNREADABLE, f"not a valid {kind} file, or truncated ({reason})", COPY_AGAIN) from None
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _kind(path: Path, content: bytes) -> str:
    """What the name says, once the content agrees."""
    stated = KINDS[path.suffix.lower()]
    with Image.open(io.BytesIO(content), formats=["PNG", "BMP", "JPEG", "TIFF"]) as image:
        found = "JPEG" if image.format == "MPO" else str(image.format)
    if found != stated:
        remedy = f"rename it to {path.stem}{SUFFIX_OF_KIND[found]}"
        raise unusable(path, Row.WRONG_SUFFIX, f"the content is {found}", remedy)
    return stated


def _check_still(path: Path, image: Image.Image) -> None:
    if getattr(image, "is_animated", False) and image.format not in ("TIFF", "MPO"):
        raise unusable(path, Row.UNREADABLE, "it is animated", "save one of its frames as a file of its own")


def _plugins(kind: str) -> list[str]:
    return [kind, "MPO"] if kind == "JPEG" else [kind]


def _pages(image: Image.Image, kind: str) -> Iterator[int]:
    """Goes through the pages of a TIFF but small copies; of another file there is one."""
    if kind != "TIFF":
        yield 0
        return
    for page in range(getattr(image, "n_frames", 1)):
        image.seek(page)
        if not _tags(image).get(NEW_SUBFILE_TYPE, 0) & REDUCED:
            yield page


def _shape(image: Image.Image, kind: str) -> tuple[int, ...]:
    """`(column, row, page)` and, where there are colours, how many."""
    pages = list(_pages(image, kind))
    image.seek(pages[0])
    return (*image.size, len(pages), *([] if image.mode in (*GREY, "LA") else [COLOURS]))


def _bytes_a_pixel(image: Image.Image) -> int:
    return len(image.getbands()) * {"I": 4, "F": 4}.get(image.mode, 2 if image.mode.startswith("I;16") else 1)


def _pixels(image: Image.Image, as_label: bool) -> np.ndarray:
    """One page, `(row, column)` or `(row, column, 3)`."""
    image.load()
    if image.mode in GREY or (image.mode == "P" and as_label):
        pixels = np.array(image)
        return pixels.astype(np.uint8 if pixels.dtype == bool else pixels.dtype.newbyteorder("="), copy=False)
    if image.mode == "LA":
        return np.array(image)[..., 0]
    return np.array(image if image.mode in ("RGB", "RGBA", "RGBX") else image.convert("RGB"))[..., :COLOURS]


def _is_deep(image: Image.Image, kind: str, content: bytes) -> bool:
    """Whether there are several channels of more than 8 bits."""
    if kind == "PNG" and len(content) >= SMALLEST_PNG_HEADER:
        depth, colour_type = content[24], content[25]
        return depth > 8 and colour_type in DEEP_PNG_COLOURS
    bits = _tags(image).get(BITSPERSAMPLE, (1,))
    return len(bits) > 1 and max(bits) > 8


def _tags(image: Image.Image) -> dict[int, Any]:
    """What a TIFF says of its page."""
    return dict(image.tag_v2) if isinstance(image, TiffImageFile) else {}


def _deep_colours(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """`(page, row, column)` or `(page, row, column, 3)`."""
    import SimpleITK

    try:
        pixels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    except RuntimeError:
        raise unusable(path, Row.UNREADABLE, "its 16-bit colours cannot be read", "save it with 8 bits") from None
    pixels = pixels.reshape(shape[2], shape[1], shape[0], -1)
    return pixels[..., :COLOURS] if pixels.shape[-1] >= COLOURS else pixels[..., 0]
