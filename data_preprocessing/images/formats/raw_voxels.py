"""Read the voxels that a text header describes (MetaImage, NRRD): raw, compressed or text, in one file or several."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from data_preprocessing.images.checks.file_format import check_length
from data_preprocessing.images.checks.finding import Row, refuse, unusable
from data_preprocessing.images.inflate import decompressed
from data_preprocessing.images.limits import check_size

LEVEL = 6
CORRECT_HEADER = "correct its header, or convert it again from its source"

Encoding = Literal["raw", "zlib", "bzip2", "text", "hex"]


@dataclass(frozen=True)
class DataFile:
    """Where voxels lie: after `lines` from the byte `start`, and `offset` bytes more; -1: the last bytes of the file.

    Of compressed voxels, `offset` counts before decompression and `inner_offset` after it.
    """

    path: Path
    encoding: Encoding = "raw"
    start: int = 0
    lines: int = 0
    offset: int = 0
    inner_offset: int = 0


def read_voxels(header: Path, files: Sequence[DataFile], shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Returns the voxels `shape`, first axis fastest, in this machine's byte order; the files follow on one another.

    Raises Unusable, naming `header` or the file of voxels, where there are fewer bytes than the header says, a whole
    slice more, or damaged ones. Nothing is decompressed past that.
    """
    count = int(np.prod(shape, dtype=object))
    size = count * dtype.itemsize
    deflated = [file.path for file in files if file.encoding == "zlib"]
    check_size(header, shape, dtype.itemsize, _bytes_on_disk(deflated) if len(deflated) == len(files) else None)
    if size % len(files):
        problem = f"{len(files)} files cannot hold {size} bytes in equal parts"
        raise unusable(header, Row.SHORTER_THAN_ITS_HEADER_SAYS, problem, CORRECT_HEADER)
    voxels = np.empty(count, dtype)
    part = count // len(files)
    slice_bytes = min(size // max(shape[-1], 1), part * dtype.itemsize)
    for number, file in enumerate(files):
        target = voxels[number * part : (number + 1) * part]
        try:
            if "\0" in str(file.path):
                raise FileNotFoundError
            _fill(target, file, slice_bytes)
        except FileNotFoundError:
            problem = f"its voxels are to be in {file.path}, and there is no such file"
            raise unusable(header, Row.LISTING, problem, "put it there, or correct the header") from None
    if not voxels.dtype.isnative:
        voxels = voxels.byteswap(inplace=True).view(voxels.dtype.newbyteorder("="))
    return voxels.reshape(shape, order="F")


def _bytes_on_disk(paths: Sequence[Path]) -> int:
    return sum(path.stat().st_size for path in set(paths) if "\0" not in str(path) and path.is_file())


def compress(voxels: np.ndarray, gzip: bool) -> bytes:
    """Returns voxels, first axis fastest, as one stream of gzip or zlib."""
    compressor = zlib.compressobj(LEVEL, wbits=31 if gzip else 15)
    little = voxels.astype(voxels.dtype.newbyteorder("<"), copy=False)
    parts = [compressor.compress(plane.tobytes(order="F")) for plane in np.moveaxis(little, -1, 0)]
    return b"".join([*parts, compressor.flush()])


def _fill(target: np.ndarray, file: DataFile, slice_bytes: int) -> None:
    """Reads one file into `target`."""
    path, size = file.path, target.nbytes
    with open(path, "rb") as stream:
        stream.seek(file.start)
        for _ in range(file.lines):
            stream.readline()
        start = stream.tell() + file.offset if file.offset >= 0 else path.stat().st_size - size
        stream.seek(max(start, 0))
        if file.encoding in ("text", "hex"):
            target[...] = _from_text(path, stream.read(), file.encoding, target)
            return
        if file.encoding == "raw":
            length = path.stat().st_size - start
            refuse(path, *check_length(length if start >= 0 else size + start, size))
            _check_excess(path, length, size, slice_bytes)
            stream.readinto(target.view(np.uint8).data)
            return
        blocks = decompressed(path, stream, "bzip2" if file.encoding == "bzip2" else "zlib")
        length = _collect(target.view(np.uint8), blocks, file.inner_offset, size + slice_bytes)
    refuse(path, *check_length(length, size))
    _check_excess(path, length, size, slice_bytes)


def _collect(target: np.ndarray, blocks: Iterator[bytes], skip: int, most: int) -> int:
    """Puts what follows the first `skip` bytes into `target`; returns how many there are, at `most` or over."""
    length = 0
    for block in blocks:
        block, skip = block[skip:], max(skip - len(block), 0)
        kept = block[: max(len(target) - length, 0)]
        target[length : length + len(kept)] = np.frombuffer(kept, np.uint8)
        length += len(block)
        if length >= most:
            break
    return length


def _from_text(path: Path, text: bytes, encoding: Encoding, target: np.ndarray) -> np.ndarray:
    """Numbers written out, never by the locale."""
    try:
        if encoding == "hex":
            found = np.frombuffer(bytes.fromhex(text.decode("ascii")), target.dtype)
        else:
            numbers = text.replace(b",", b" ").split()
            convert = float if target.dtype.kind == "f" else int
            found = np.array([convert(number) for number in numbers], target.dtype)
    except (ValueError, OverflowError) as error:
        problem = f"its voxels are to be text, and are no numbers ({str(error)[:40]})"
        raise unusable(path, Row.UNREADABLE, problem, CORRECT_HEADER) from None
    refuse(path, *check_length(found.nbytes, target.nbytes))
    if found.size > target.size:
        problem = f"{found.size} numbers where its header says {target.size}"
        raise unusable(path, Row.UNREADABLE, problem, CORRECT_HEADER)
    return found


def _check_excess(path: Path, length: int, size: int, slice_bytes: int) -> None:
    """A whole slice more than the header says: the header is wrong, and what it says of the rest may be too."""
    if length - size >= slice_bytes > 0:
        problem = f"more voxels than its header says: {size} bytes are to be there, and at least {length} are"
        raise unusable(path, Row.UNREADABLE, problem, CORRECT_HEADER)
