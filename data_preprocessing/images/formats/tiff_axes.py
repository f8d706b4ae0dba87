"""What the pages of a TIFF are: slices, channels, copies, by what the writing program says of them."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_preprocessing.images.checks.file_format import COPY_AGAIN
from data_preprocessing.images.checks.finding import Row, unusable
from data_preprocessing.images.formats.tiff_pages import SAVE_PLAIN

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffFrame, TiffPage, TiffPageSeries

KINDS = (
    "shaped", "ome", "imagej", "mmstack", "lsm", "stk", "fluoview", "svs", "scn", "qpi", "bif", "avs", "philips",
    "scanimage", "nih", "uniform", "generic",
)  # fmt: skip
SLICE_AXES = "ZIQT"  # tifffile's letters; pages of time count as slices where there are no others
CHANNEL_AXIS = "C"
REDUCED = 1  # bit of NewSubfileType: a smaller copy


@dataclass(frozen=True)
class Layout:
    """The pages of the image in their order, and how many slices and channels they are.

    `channels_first`: all slices of one channel follow on one another. `contiguous`: where pixels begin that have one
    page for all.
    """

    pages: list["TiffPage"]
    slices: int
    channels: int
    channels_first: bool
    contiguous: int | None


def find_layout(path: Path, file: "TiffFile", count: int) -> Layout:
    """Returns what the `count` pages in the chain of a TIFF are.

    Raises Unusable where a page would be left out, is missing, or is neither slice nor channel.
    """
    file.pages.useframes = False
    chain = [file.pages[index].aspage() for index in range(len(file.pages))]
    if len(chain) != count:
        problem = f"not a valid TIFF file, or truncated ({len(chain)} of {count} pages can be read)"
        raise unusable(path, Row.UNREADABLE, problem, COPY_AGAIN)
    originals = [page.index for page in chain if not int(page.subfiletype) & REDUCED] or [chain[0].index]
    _check_copies(path, chain)
    series = [each for each in file.series if any(_index(page) in originals for page in each.pages)]
    if len(series) != 1:
        sizes = {each.shape for each in series}
        problem = "its pages differ in size" if len(sizes) > 1 else f"it holds {len(series)} images"
        raise unusable(path, Row.UNREADABLE, problem, "give each of them a file of its own")
    (image,) = series
    if image.kind not in KINDS or (file.is_ome and image.kind != "ome" and count > 1):
        raise unusable(
            path, Row.UNREADABLE, f"its pages are arranged in a way that is not read ({image.kind})", SAVE_PLAIN
        )
    return _layout(path, file, image, originals)


def _layout(path: Path, file: "TiffFile", image: "TiffPageSeries", originals: list[int]) -> Layout:
    used = [_index(page) for page in image.pages]
    first = file.pages[originals[0]].aspage()
    stated = [(axis, size) for axis, size in zip(image.axes, image.shape, strict=True) if size > 1]
    inside = [size for size in first.shape if size > 1]
    axes = stated[: len(stated) - len(inside)]
    if [size for _, size in stated[len(axes) :]] != inside:
        raise unusable(path, Row.UNREADABLE, f"pages of shape {first.shape} in an image of {image.shape}", SAVE_PLAIN)
    planes = math.prod(size for _, size in axes)
    _check_imagej(path, file, first, planes)
    is_contiguous = len(used) == 1 < planes
    if is_contiguous and (image.dataoffset is None or len(originals) > 1):
        raise unusable(path, Row.UNREADABLE, f"{planes} slices are stated and 1 page is there", SAVE_PLAIN)
    if not is_contiguous and (len(used) != planes or sorted(set(used)) != sorted(originals)):
        problem = f"{planes} slices and channels are stated, and {len(originals)} pages are there"
        raise unusable(path, Row.UNREADABLE, problem, SAVE_PLAIN)
    slices = [size for axis, size in axes if axis in SLICE_AXES]
    channels = [size for axis, size in axes if axis == CHANNEL_AXIS]
    if len(slices) > 1 or len(channels) > 1 or len(slices) + len(channels) < len(axes):
        found = " x ".join(f"{size} ({axis})" for axis, size in axes)
        problem = f"its pages are {found}, where slices and channels are read"
        raise unusable(path, Row.TOO_MANY_AXES, problem, "save each point of time, or position, as a file of its own")
    return Layout(
        [file.pages[index].aspage() for index in used],
        *(math.prod(slices), math.prod(channels)),
        channels_first=bool(axes) and axes[0][0] == CHANNEL_AXIS,
        contiguous=image.dataoffset if is_contiguous else None,
    )


def _index(page: "TiffPage | TiffFrame | None") -> int:
    """A page's place in the chain; -1 for one that is in another file, or in none."""
    return page.index if page is not None and isinstance(page.index, int) else -1


def _check_imagej(path: Path, file: "TiffFile", first: "TiffPage", planes: int) -> None:
    """ImageJ states how many images there are, and may give one page to all: tifffile takes that for one where the
    file is too short."""
    stated = int((file.imagej_metadata or {}).get("images", 1)) if file.is_imagej else 1
    if stated not in (1, planes, planes * first.samplesperpixel):
        problem = f"truncated, {stated} images are stated and {planes} are there"
        raise unusable(path, Row.SHORTER_THAN_ITS_HEADER_SAYS, problem, COPY_AGAIN)


def _check_copies(path: Path, chain: list["TiffPage"]) -> None:
    """What hangs below a page must be smaller copies of it."""
    for page in chain:
        for below in page.pages or ():
            copy = below.aspage()
            is_smaller = copy.imagelength < page.imagelength or copy.imagewidth < page.imagewidth
            if not (int(copy.subfiletype) & REDUCED or is_smaller):
                raise unusable(path, Row.UNREADABLE, "it holds further images below a page (SubIFDs)", SAVE_PLAIN)
