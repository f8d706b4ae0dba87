"""Open a DICOM file so that neither a length in it nor what it inflates to takes more memory than it can fill."""

import io
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.uid import DeflatedExplicitVRLittleEndian

from data_preprocessing.images.checks.finding import Row, unusable

RAW_DEFLATE = -zlib.MAX_WBITS
BLOCK = 2**18
ALWAYS_INFLATED = 2**26  # bytes
INFLATED_TIMES = 40  # of larger files: more than an image that shows something shrinks by


class BoundedFile(io.BufferedReader):
    """A file of which no more is asked for than is left: `read(2**31)` of a short one takes no memory for the rest."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self.length = path.stat().st_size

    def read(self, size: int | None = -1) -> bytes:
        """Returns up to `size` bytes, all that are left where it is None or negative."""
        if size is not None and size > io.DEFAULT_BUFFER_SIZE:
            size = min(size, max(self.length - self.tell(), 0))
        return super().read(size)


def open_dicom(path: Path) -> BinaryIO:
    """Returns the open file; raises Unusable where its deflated data set is a bomb."""
    stream = BoundedFile(path)
    try:
        if _is_deflated(stream):
            _check_inflated(path, stream)
        stream.seek(0)
    except BaseException:
        stream.close()
        raise
    return cast(BinaryIO, stream)


def _is_deflated(stream: BoundedFile) -> bool:
    """Whether it is, by its file meta information, after which the stream then stands."""
    if len(stream.peek(132)) < 132 or stream.peek(132)[128:132] != b"DICM":
        return False
    read_preamble(stream, force=True)
    syntax = _read_file_meta_info(stream).get("TransferSyntaxUID")
    return str(syntax) == DeflatedExplicitVRLittleEndian


def _check_inflated(path: Path, stream: BoundedFile) -> None:
    decompressor = zlib.decompressobj(RAW_DEFLATE)
    most, length, content = max(ALWAYS_INFLATED, INFLATED_TIMES * stream.length), 0, stream.read(BLOCK)
    while content and not decompressor.eof:
        length += len(decompressor.decompress(content, BLOCK))
        if length > most:
            problem = f"over {most} bytes come of its {stream.length} deflated ones"
            raise unusable(path, Row.MEMORY, problem, "decompress it with gdcmconv --raw")
        content = decompressor.unconsumed_tail or stream.read(BLOCK)
