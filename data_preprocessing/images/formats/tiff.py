"""TIFF, through tifffile: pixels are the numbers stored, and nothing is turned, inverted or cut down.

The voxel axes are column, row and slice. Slices and channels are told by what OME, ImageJ and tifffile write into the
file; pages of which nothing is said are slices. The spacing may stand beside it (`sidecar.py`); else it is 1.
"""

import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data_preprocessing.common.errors import UserError
from data_preprocessing.images.checks.file_format import COPY_AGAIN
from data_preprocessing.images.checks.finding import Row, unusable
from data_preprocessing.images.formats.picture_header import check_kind
from data_preprocessing.images.formats.pictures import check_highest
from data_preprocessing.images.formats.sidecar import read_spacing
from data_preprocessing.images.formats.stored import PictureGrid, Stored, no_voxels
from data_preprocessing.images.formats.tiff_axes import Layout, find_layout
from data_preprocessing.images.formats.tiff_pages import (
    PALETTE,
    SAVE_PLAIN,
    check_page,
    colour_of_indices,
    count_channels,
    count_pages,
    decode,
    dtype_of,
)
from data_preprocessing.images.limits import check_size, out_of_memory
from data_preprocessing.images.nifti_file import NiftiImage

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

COLOURS = 3
PIXELS_OF_A_PLANE = 3


@dataclass(frozen=True)
class Opened:
    """What the headers of a TIFF say: `channels` are the samples of a pixel, or pages of their own."""

    layout: Layout
    pages: list["TiffPage"]
    shape: tuple[int, ...]
    dtype: np.dtype
    grid: PictureGrid
    is_indexed: bool


def read(path: Path, as_label: bool) -> Stored:
    """Returns pixels `(column, row, slice)` or `(column, row, slice, channel)`; alpha is dropped.

    A palette's indices are the numbers `as_label`, and where ImageJ keeps a palette for display; else its colours.
    Raises Unusable for a file that is damaged, not all there, or of a form that is not read.
    """
    with _opened(path, as_label) as tiff:
        page = tiff.pages[0]
        check_size(path, tiff.shape, tiff.dtype.itemsize)
        if tiff.layout.contiguous is not None:
            planes = _contiguous(path, tiff)
        else:
            planes = _decoded(path, tiff)
        if tiff.is_indexed:
            if not all(np.array_equal(np.asarray(each.colormap), np.asarray(page.colormap)) for each in tiff.pages):
                raise unusable(path, Row.UNREADABLE, "its pages have palettes of their own", "save its pages as RGB")
            planes = colour_of_indices(page, planes[..., 0])
        voxels = _arranged(planes, tiff.layout).transpose(2, 1, 0, 3)
        if voxels.shape != tiff.shape or voxels.dtype != tiff.dtype:
            raise ValueError(f"{voxels.dtype} pixels of shape {voxels.shape} were decoded")
    return Stored(voxels if voxels.shape[3] > 1 else voxels[..., 0], _affine(tiff.grid), tiff.grid)


def look(path: Path) -> Stored:
    """Returns the shape and type of pixels without reading them; raises as `read` does."""
    with _opened(path, False) as tiff:
        shape = tiff.shape if tiff.shape[3] > 1 else tiff.shape[:3]
        return Stored(no_voxels(shape, tiff.dtype), _affine(tiff.grid), tiff.grid)


def write(path: Path, image: NiftiImage) -> None:
    """Writes label numbers `(column, row, slice)`, 8 bits or 16, one page a slice, LZW.

    Raises UserError for numbers that 16 bits cannot hold.
    """
    import tifffile

    pages = np.asarray(image.dataobj).T
    highest = int(pages.max())
    check_highest(highest, "TIFF", np.uint16)
    pages = pages.astype(np.min_scalar_type(highest), copy=False)
    with tifffile.TiffWriter(path) as writer:
        for page in pages:
            writer.write(np.ascontiguousarray(page), photometric="minisblack", compression="lzw", metadata=None)


@contextmanager
def _opened(path: Path, as_label: bool) -> Iterator[Opened]:
    """What is wrong with a file becomes one line; what tifffile logs is found again by the checks here."""
    import tifffile

    with open(path, "rb") as stream:
        check_kind(path, stream.read(16))
    count = count_pages(path)
    logger = logging.getLogger("tifffile")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        with tifffile.TiffFile(path, _multifile=False) as file:
            yield _describe(path, file, count, as_label)
    except UserError:
        raise
    except NotImplementedError as error:
        raise unusable(path, Row.UNREADABLE, f"it cannot be read ({error})", "save it with LZW or deflate") from None
    except MemoryError:
        raise out_of_memory(path) from None
    except (ValueError, RuntimeError, KeyError, IndexError, TypeError, AttributeError, OverflowError, OSError,
            AssertionError, struct.error, ZeroDivisionError) as error:  # fmt: skip
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split())[:120]
        problem = f"not a valid TIFF file, or truncated ({reason})"
        raise unusable(path, Row.UNREADABLE, problem, f"{COPY_AGAIN}, or save it anew with LZW or deflate") from None
    finally:
        logger.disabled = was_disabled


def _describe(path: Path, file: "TiffFile", count: int, as_label: bool) -> Opened:
    layout = find_layout(path, file, count)
    pages = layout.pages
    first = pages[0]
    for page in pages:
        check_page(path, page, as_label)
        same = (page.shaped, page.dtype, page.photometric, page.extrasamples)
        if same != (first.shaped, first.dtype, first.photometric, first.extrasamples):
            raise unusable(path, Row.UNREADABLE, "its pages differ in size or type", "save pages of one kind")
    channels = count_channels(first)
    separate, depth, rows, columns, _ = first.shaped
    if separate > 1 and (as_label or channels != separate):
        problem = f"{separate} planes of one page, which may be slices or colours"
        remedy = 'save slices as pages (tifffile: photometric="minisblack"), colours as RGB without alpha'
        raise unusable(path, Row.UNREADABLE, problem, remedy)
    if as_label and layout.channels > 1:
        problem = f"its pages are stated to be {layout.channels} channels, and a label has one"
        remedy = 'save slices as such (tifffile: metadata={"axes": "ZYX"})'
        raise unusable(path, Row.LABEL_SHAPE, problem, remedy)
    if channels > 1 and layout.channels > 1:
        raise unusable(path, Row.TOO_MANY_AXES, "channels as pages, each in colours", "save one grey page a channel")
    if layout.contiguous is not None and (separate > 1 or channels != first.samplesperpixel):
        raise unusable(path, Row.UNREADABLE, "one page for all slices, in planes or with alpha", SAVE_PLAIN)
    if depth > 1 and layout.slices > 1:
        raise unusable(path, Row.TOO_MANY_AXES, "pages of several slices each", "save one page a slice")
    is_indexed = int(first.photometric) == PALETTE and not as_label and not file.is_imagej
    channels = COLOURS if is_indexed else channels * layout.channels
    dtype = colour_of_indices(first, np.zeros(1, np.uint8)).dtype if is_indexed else dtype_of(first)
    in_colours = is_indexed or (int(first.photometric) not in (0, 1) and separate == 1 and channels == COLOURS)
    grid = PictureGrid(in_colours and layout.channels == 1, read_spacing(path))
    return Opened(layout, pages, (columns, rows, depth * layout.slices, channels), dtype, grid, is_indexed)


def _decoded(path: Path, tiff: Opened) -> np.ndarray:
    """All pages, one after another: `(page and slice, row, column, sample)`."""
    first = tiff.pages[0]
    if len(tiff.pages) == 1:
        return decode(path, first)
    _, depth, rows, columns, _ = first.shaped
    planes = np.empty((len(tiff.pages) * depth, rows, columns, count_channels(first)), dtype_of(first))
    for number, page in enumerate(tiff.pages):
        planes[number * depth : (number + 1) * depth] = decode(path, page)
    return planes


def _contiguous(path: Path, tiff: Opened) -> np.ndarray:
    """The pixels of pages that have no tags of their own, as ImageJ saves large stacks: they follow on the first."""
    page, start = tiff.pages[0], tiff.layout.contiguous
    _, depth, rows, columns, samples = page.shaped
    count = tiff.layout.slices * tiff.layout.channels
    size = count * page.nbytes
    if (start or 0) + size > path.stat().st_size:
        problem = f"truncated, {count} slices are stated and not all are there"
        raise unusable(path, Row.SHORTER_THAN_ITS_HEADER_SAYS, problem, COPY_AGAIN)
    stored = np.dtype(page.dtype).newbyteorder(page.parent.byteorder)
    pixels = np.fromfile(path, stored, size // stored.itemsize, offset=start or 0)
    return pixels.astype(stored.newbyteorder("="), copy=False).reshape(count * depth, rows, columns, samples)


def _arranged(planes: np.ndarray, layout: Layout) -> np.ndarray:
    """`(slice, row, column, channel)` of planes in the order of their pages."""
    if layout.channels == 1:
        return planes
    pixels = planes[..., 0]
    if layout.channels_first:
        return np.moveaxis(pixels.reshape(layout.channels, -1, *pixels.shape[1:]), 0, -1)
    return np.moveaxis(pixels.reshape(-1, layout.channels, *pixels.shape[1:]), 1, -1)


def _affine(grid: PictureGrid) -> np.ndarray:
    return np.eye(4) if grid.spacing is None else np.diag([*grid.spacing[::-1], 1.0])
