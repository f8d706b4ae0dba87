"""PNG, BMP and JPEG written byte by byte: the numbers stored, of every depth, and refusals told as they are."""

import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from data_preprocessing.images.image_file import load_image, read_header
from data_preprocessing.images.volume_io import load_label, read_image, write_label
from tests.data_preprocessing.samples import refused

ROWS, COLUMNS = 5, 11
RANDOM = np.random.default_rng(0)
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
DEPTHS = [(GREY, 1), (GREY, 2), (GREY, 4), (PALETTE, 1), (PALETTE, 2), (PALETTE, 4), (PALETTE, 8)] + [
    (kind, bits) for kind in (GREY, RGB, GREY_ALPHA, RGBA) for bits in (8, 16)
]
GAMMA, CHROMATICITIES = (b"gAMA", struct.pack(">I", 100_000)), (b"sRGB", b"\0")


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def packed(row, bits):
    bits_of_row = (row[..., np.newaxis].astype(int) >> np.arange(bits)[::-1]) & 1
    return np.packbits(bits_of_row.astype(np.uint8).reshape(-1)).tobytes()


def write_png(path, pixels, kind, bits, extra=(), colours=None):
    """`pixels` `(row, column, sample)`."""
    rows = b"".join(b"\0" + packed(row.reshape(-1), bits) for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], bits, kind, 0, 0, 0)
    palette = [(b"PLTE", np.arange(3 * (colours or 2**bits)).astype(np.uint8).tobytes())] if kind == PALETTE else []
    parts = [(b"IHDR", header), *extra, *palette, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    return path


def numbers(bits, samples=1):
    return RANDOM.integers(0, 2**bits, (ROWS, COLUMNS, samples), np.uint16)


@pytest.mark.parametrize(("kind", "bits"), DEPTHS)
@pytest.mark.parametrize("extra", [[], [GAMMA], [CHROMATICITIES]], ids=["plain", "gamma", "srgb"])
def test_png_of_every_depth_holds_the_numbers_stored(tmp_path, kind, bits, extra):
    pixels = numbers(bits, SAMPLES[kind])
    path = write_png(tmp_path / "a.png", pixels, kind, bits, extra)
    found = np.asarray(load_image(path, as_label=kind == PALETTE).dataobj)
    truth = pixels[..., :3] if kind in (RGB, RGBA) else pixels[..., 0]
    np.testing.assert_array_equal(found[:, :, 0], truth.swapaxes(0, 1))
    assert found.dtype == (np.uint8 if bits <= 8 else np.uint16)
    if kind != PALETTE:
        assert (read_header(path).get_data_shape(), read_header(path).get_data_dtype()) == (found.shape, found.dtype)
    else:
        assert read_header(path).get_data_shape() == load_image(path).shape


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_an_index_beyond_the_palette_has_no_colour(tmp_path, bits):
    pixels = numbers(bits)
    pixels[0, 0] = 3
    path = write_png(tmp_path / "a.png", pixels, PALETTE, bits, colours=int(pixels.max()))
    with refused(path):
        load_image(path)
    np.testing.assert_array_equal(load_label(path)[0][0], pixels[..., 0])
    write_png(path, pixels, PALETTE, bits, colours=int(pixels.max()) + 1)
    assert load_image(path).shape == (COLUMNS, ROWS, 1, 3)


@pytest.mark.parametrize(("kind", "bits"), [(GREY, 8), (GREY, 16), (RGB, 8), (RGB, 16)])
def test_a_transparent_colour_changes_no_number(tmp_path, kind, bits):
    pixels = numbers(bits, SAMPLES[kind])
    path = write_png(tmp_path / "a.png", pixels, kind, bits, [(b"tRNS", pixels[0, 0].astype(">u2").tobytes())])
    found = np.asarray(load_image(path).dataobj)
    np.testing.assert_array_equal(found[:, :, 0].reshape(COLUMNS, ROWS, -1), pixels.swapaxes(0, 1))


@pytest.mark.parametrize("bits", [8, 16])
def test_a_wrong_byte_in_colours_is_refused(tmp_path, bits):
    path = write_png(tmp_path / "a.png", numbers(bits, 3), RGB, bits)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with refused(path, "not a valid PNG"):
        load_image(path)


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_nothing_is_turned_by_exif(tmp_path, orientation, suffix):
    smooth = np.add.outer(np.arange(40), np.arange(64)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(smooth).save(tmp_path / f"a{suffix}", exif=exif)
    found = np.asarray(load_image(tmp_path / f"a{suffix}").dataobj)[:, :, 0].T
    np.testing.assert_allclose(found.astype(int), smooth, atol=0 if suffix == ".png" else 4)


def write_bmp(path, data, bits, width, palette=(), compression=0, masks=b"", height=1):
    table = b"".join(bytes([blue, green, red, 0]) for red, green, blue in palette)
    start = 54 + len(masks) + len(table)
    info = (40, width, height, 1, bits, compression, len(data), 0, 0, len(palette), 0)
    head = b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + struct.pack("<IiiHHIIiiII", *info)
    path.write_bytes(head + masks + table + data)
    return path


@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("order", ["black first", "white first", "colours"])
def test_bmp_with_a_palette_holds_its_indices(tmp_path, bits, order):
    count = 2**bits
    ramp = [(index * 255 // (count - 1),) * 3 for index in range(count)]
    palette = {"black first": ramp, "white first": ramp[::-1]}.get(order, [(i, 255 - i, 7) for i in range(count)])
    indices = np.arange(8) % count
    path = write_bmp(tmp_path / "a.bmp", packed(indices, bits).ljust(8, b"\0"), bits, 8, palette)
    np.testing.assert_array_equal(load_label(path)[0].ravel(), indices)
    found = np.asarray(load_image(path).dataobj)[:, 0, 0]
    if order != "black first":
        np.testing.assert_array_equal(found, np.array(palette)[indices])


@pytest.mark.parametrize("height", [-2, 2])
@pytest.mark.parametrize("bits", [24, 32])
def test_bmp_of_colours(tmp_path, height, bits):
    pixels = RANDOM.integers(0, 256, (2, 4, bits // 8), np.uint8)
    rows = pixels if height < 0 else pixels[::-1]
    path = write_bmp(tmp_path / "a.bmp", rows.tobytes(), bits, 4, height=height)
    found = np.asarray(load_image(path).dataobj)[:, :, 0]
    np.testing.assert_array_equal(found, pixels[..., 2::-1].swapaxes(0, 1))


@pytest.mark.parametrize("compression", [0, 3])
def test_bmp_of_5_bits_a_colour_is_refused(tmp_path, compression):
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F) if compression else b""
    with refused(write_bmp(tmp_path / "a.bmp", bytes(16), 16, 8, compression=compression, masks=masks), "16 bits"):
        load_image(tmp_path / "a.bmp")


def test_jpeg_of_12_bits_is_not_cut(tmp_path):
    pixels = np.add.outer(np.arange(40), np.arange(64)).astype(np.uint16) * 30
    (tmp_path / "a.jpg").write_bytes(imagecodecs.jpeg_encode(pixels, bitspersample=12, level=98))
    found = np.asarray(load_image(tmp_path / "a.jpg").dataobj)[:, :, 0].T
    np.testing.assert_allclose(found.astype(int), pixels, atol=40)
    assert read_header(tmp_path / "a.jpg").get_data_dtype() == np.uint16


def test_jpeg_of_inks_is_refused(tmp_path):
    Image.new("CMYK", (16, 16)).save(tmp_path / "a.jpg")
    with refused(tmp_path / "a.jpg", "CMYK"):
        load_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_a_number_too_high_is_told_with_the_file(tmp_path, suffix):
    Image.fromarray(numbers(8)[..., 0].astype(np.uint8)).save(tmp_path / f"a{suffix}")
    volume = read_image((tmp_path / f"a{suffix}",))
    labels = np.full((1, ROWS, COLUMNS), 65_536, np.uint32)
    with refused(tmp_path / f"b{suffix}", "65536"):
        write_label(tmp_path / f"b{suffix}", labels, volume.source)
    assert not (tmp_path / f"b{suffix}").exists()
