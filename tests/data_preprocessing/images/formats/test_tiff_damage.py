"""TIFF that is cut off, damaged, or not all there: refused, never read in part."""

import struct

import numpy as np
import pytest
import tifffile

from data_preprocessing.common.errors import UserError
from data_preprocessing.images.image_file import load_image
from tests.data_preprocessing.images.formats.samples import write_page
from tests.data_preprocessing.images.formats.test_tiff import COLUMNS, ROWS, numbers, read
from tests.data_preprocessing.samples import refused


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "zstd", "packbits"])
@pytest.mark.parametrize(
    "options", [{}, {"imagej": True}, {"ome": True}, {"bigtiff": True}, {"tile": (16, 16)}], ids=str
)
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_stack_is_refused_and_not_read_in_part(tmp_path, compression, options, share):
    if options.get("imagej") and compression is None:
        options = options | {"metadata": {"axes": "ZYX"}}
    pixels = numbers("uint16", (6, ROWS, COLUMNS))
    tifffile.imwrite(tmp_path / "a.tif", pixels, compression=compression, photometric="minisblack", **options)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: int(len(content) * share)])
    try:
        found = read(tmp_path / "a.tif")
    except UserError as error:
        assert str(tmp_path / "a.tif") in str(error)
    else:  # what was cut off is no pixel
        np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("compression", ["zlib", "lzw", "zstd"])
def test_a_wrong_byte_is_refused_where_there_is_a_checksum(tmp_path, compression):
    pixels = numbers("uint16", (ROWS, COLUMNS))
    tifffile.imwrite(tmp_path / "a.tif", pixels, compression=compression, metadata=None)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        middle = file.pages[0].dataoffsets[0] + file.pages[0].databytecounts[0] // 2
    content[middle] ^= 0xFF
    (tmp_path / "a.tif").write_bytes(content)
    try:
        found = read(tmp_path / "a.tif")
    except UserError:
        return
    assert compression != "zlib"
    assert found.shape == (1, ROWS, COLUMNS)


def test_a_sparse_file_is_refused(tmp_path):
    page = {256: 8, 257: 6, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: 6, 279: 0}
    path = write_page(tmp_path / "a.tif", page, b"")
    with refused(path):
        load_image(path)


def test_pages_that_run_in_a_circle_are_refused(tmp_path):
    page = {256: 8, 257: 6, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: 6, 279: 48}
    path = write_page(tmp_path / "a.tif", page, bytes(48))
    content = bytearray(path.read_bytes())
    content[8 + 2 + 12 * len(page) :][:4] = b""
    struct.pack_into("<I", content, 8 + 2 + 12 * len(page), 8)
    path.write_bytes(content)
    with refused(path, "circle"):
        load_image(path)


def test_fewer_strips_than_rows_need_are_refused(tmp_path):
    page = {256: 8, 257: 6, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: 2, 279: 16}
    with refused(write_page(tmp_path / "a.tif", page, bytes(48))):
        load_image(tmp_path / "a.tif")


def test_an_unknown_compression_is_told_as_it_is(tmp_path):
    page = {256: 8, 257: 6, 258: 8, 259: 12345, 262: 1, 273: 0, 277: 1, 278: 6, 279: 48}
    with refused(write_page(tmp_path / "a.tif", page, bytes(48)), "LZW or deflate"):
        load_image(tmp_path / "a.tif")
