"""Decompress in blocks, so that no more is held than asked for; every member's checksum is compared."""

import bz2
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal

from data_preprocessing.images.checks.file_format import COPY_AGAIN
from data_preprocessing.images.checks.finding import Row, unusable

INPUT_BLOCK = 2**16  # bytes read at once; also what each small member of a stream (bgzip) costs at most
OUTPUT_BLOCK = 2**18  # bytes decompressed at once
ANY_ZLIB = 47  # zlib's number for gzip or zlib, as the data begins
GZIP_MAGIC, BZIP2_MAGIC = b"\x1f\x8b", b"BZh"

Compression = Literal["zlib", "bzip2"]


def decompressed(path: Path, stream: IO[bytes], compression: Compression) -> Iterator[bytes]:
    """Yields decompressed blocks to the end of the last member; what follows it does not matter.

    Raises Unusable, naming `path`, for damaged data or data without an end.
    """
    magic = GZIP_MAGIC if compression == "zlib" else BZIP2_MAGIC
    content = stream.read(INPUT_BLOCK)
    decompressor = _decompressor(compression)
    try:
        while True:
            yield decompressor.decompress(content, OUTPUT_BLOCK)
            if decompressor.eof:
                content = decompressor.unused_data
                if len(content) < len(magic):
                    content += stream.read(INPUT_BLOCK)
                if not content.startswith(magic):
                    return
                decompressor = _decompressor(compression)
                continue
            content = getattr(decompressor, "unconsumed_tail", b"")
            if not content and getattr(decompressor, "needs_input", True):
                content = stream.read(INPUT_BLOCK)
                if not content:
                    break
    except (zlib.error, OSError) as error:
        raise unusable(path, Row.GZIP_DAMAGED, f"truncated or damaged ({error})", COPY_AGAIN) from None
    problem = "truncated or damaged (compressed data without an end)"
    raise unusable(path, Row.GZIP_TRUNCATED, problem, COPY_AGAIN)


def _decompressor(compression: Compression) -> Any:  # noqa: ANN401
    return bz2.BZ2Decompressor() if compression == "bzip2" else zlib.decompressobj(wbits=ANY_ZLIB)
