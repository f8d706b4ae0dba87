"""TIFF: the numbers stored, whatever their type, layout and compression; the oracle is tifffile's writer."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from data_preprocessing.images.image_file import load_image, read_header
from data_preprocessing.images.volume_io import load_label, read_image, write_label
from tests.data_preprocessing.images.formats.samples import write_page
from tests.data_preprocessing.samples import refused

RANDOM = np.random.default_rng(0)
ROWS, COLUMNS = 37, 53  # odd, so that strips and tiles are cut off
TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64"]
COMPRESSIONS = [None, "lzw", "zlib", "packbits", "lzma", "zstd"]
TILES = {"strips": {}, "few rows": {"rowsperstrip": 7}, "tiles": {"tile": (16, 32)}}


def numbers(dtype, shape):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return RANDOM.normal(0, 100, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return RANDOM.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def read(path, as_label=False):
    """`(slice, row, column)` or `(slice, row, column, channel)`, and what the header told before."""
    image = load_image(path, as_label)
    voxels = np.asarray(image.dataobj)
    header = read_header(path)
    assert header.get_data_shape() == voxels.shape or as_label
    assert header.get_data_dtype() == voxels.dtype or as_label
    return voxels.transpose((2, 1, 0, 3)[: voxels.ndim])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("layout", TILES)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_every_type_comes_back_as_it_was_saved(tmp_path, dtype, compression, layout, byteorder):
    if compression == "packbits" and layout != "strips":
        pytest.skip("as the strips")
    pixels = numbers(dtype, (ROWS, COLUMNS))
    options = TILES[layout] | {"compression": compression, "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", pixels, byteorder=byteorder, **options)
    found = read(tmp_path / "a.tif")[0]
    assert found.dtype == (np.float32 if dtype == "float16" else dtype)
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("predictor", [True, False])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("planes", [(), (5,)])
@pytest.mark.parametrize("colours", [False, True])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_stacks_colours_and_predictors(tmp_path, bigtiff, predictor, dtype, planes, colours, planar):
    if not colours and planar == "separate":
        pytest.skip("one plane is one plane")
    sizes = (ROWS, COLUMNS, 3) if planar == "contig" else (3, ROWS, COLUMNS)
    pixels = numbers(dtype, (*planes, *(sizes if colours else (ROWS, COLUMNS))))
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels,
        bigtiff=bigtiff,
        compression="zlib",
        predictor=predictor,
        photometric="rgb" if colours else "minisblack",
        **({"planarconfig": planar} if colours else {}),
    )
    truth = pixels.reshape(-1, *pixels.shape[len(planes) :])
    np.testing.assert_array_equal(
        read(tmp_path / "a.tif"), np.moveaxis(truth, 1, -1) if colours and planar == "separate" else truth
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_nothing_is_turned_by_a_tag(tmp_path, orientation, samples, dtype):
    pixels = numbers(dtype, (ROWS, COLUMNS, samples))
    tags = [(274, "H", 1, orientation, True)]
    photometric = "rgb" if samples == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", np.squeeze(pixels), photometric=photometric, extratags=tags)
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[0], np.squeeze(pixels))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16"])
def test_white_is_zero_changes_no_number(tmp_path, dtype):
    pixels = numbers("uint8", (ROWS, COLUMNS)) > 99 if dtype == "bool" else numbers(dtype, (ROWS, COLUMNS))
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite")
    np.testing.assert_array_equal(read(tmp_path / "a.tif", as_label=True)[0], pixels)


@pytest.mark.parametrize("compression", [None, "group3", "group4", "packbits", "tiff_lzw", "tiff_deflate"])
@pytest.mark.parametrize("inverted", [0, 1])
def test_bilevel_pictures_hold_0_and_1(tmp_path, compression, inverted):
    pixels = numbers("uint8", (ROWS, COLUMNS)) > 99
    options = {"compression": compression, "tiffinfo": {262: 1 - inverted}}
    Image.fromarray(pixels).save(tmp_path / "a.tif", **options)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        stored = file.asarray()
    with Image.open(tmp_path / "a.tif") as image:  # Pillow shows white as 1
        np.testing.assert_array_equal(np.array(image) ^ bool(inverted), stored)
    np.testing.assert_array_equal(read(tmp_path / "a.tif", as_label=True)[0], stored)


@pytest.mark.parametrize("bits", [2, 4, 10, 12, 14])
def test_packed_bits_are_read_in_full(tmp_path, bits):
    pixels = RANDOM.integers(0, 2**bits, (ROWS, 8), np.uint16)
    packed = np.packbits((pixels[..., None] >> np.arange(bits)[::-1] & 1).astype(np.uint8).reshape(ROWS, -1), axis=1)
    page = {256: 8, 257: ROWS, 258: bits, 259: 1, 262: 1, 273: 0, 277: 1, 278: ROWS, 279: packed.size}
    path = write_page(tmp_path / "a.tif", page, packed.tobytes())
    np.testing.assert_array_equal(read(path)[0], pixels)


def test_the_order_of_bits_in_a_byte_is_heeded(tmp_path):
    data = RANDOM.integers(0, 256, 48, np.uint8)
    page = {256: 8, 257: 6, 258: 8, 259: 1, 262: 1, 266: 2, 273: 0, 277: 1, 278: 6, 279: 48}
    path = write_page(tmp_path / "a.tif", page, data.tobytes())
    reversed_bits = np.packbits(np.unpackbits(data, bitorder="little"))
    np.testing.assert_array_equal(read(path)[0].ravel(), reversed_bits)


@pytest.mark.parametrize("extra", [1, 2])
def test_only_what_is_marked_as_alpha_is_dropped(tmp_path, extra):
    pixels = numbers("uint16", (ROWS, COLUMNS, 4))
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=[extra])
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[0], pixels[..., :3])
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=[0])
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[0], pixels)
    tifffile.imwrite(tmp_path / "a.tif", pixels[..., :2], photometric="minisblack", planarconfig="contig")
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[0], pixels[..., :2])


def test_a_palette_is_numbers_in_a_label_and_colours_in_an_image(tmp_path):
    pixels = RANDOM.integers(0, 256, (ROWS, COLUMNS), np.uint8)
    colours = RANDOM.integers(0, 256, (3, 256), np.uint16)
    for factor, dtype in ((257, np.uint8), (256, np.uint8), (251, np.uint16)):
        tifffile.imwrite(
            tmp_path / "a.tif", pixels, photometric="palette", colormap=(colours * factor).astype("uint16")
        )
        np.testing.assert_array_equal(read(tmp_path / "a.tif", as_label=True)[0], pixels)
        found = read(tmp_path / "a.tif")[0]
        assert found.dtype == dtype
        truth = (colours if dtype == np.uint8 else colours * factor)[:, pixels]
        np.testing.assert_array_equal(found, np.moveaxis(truth, 0, -1))


@pytest.mark.parametrize("same", [True, False])
def test_pages_with_palettes_of_their_own_are_no_picture(tmp_path, same):
    pixels = RANDOM.integers(0, 256, (3, ROWS, COLUMNS), np.uint8)
    colours = RANDOM.integers(0, 2**16, (3, 3, 256)).astype(np.uint16)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for number, page in enumerate(pixels):
            file.write(page, photometric="palette", colormap=colours[0 if same else number], metadata=None)
    np.testing.assert_array_equal(read(tmp_path / "a.tif", as_label=True), pixels)
    if same:
        np.testing.assert_array_equal(read(tmp_path / "a.tif"), np.moveaxis(colours[0][:, pixels], 0, -1))
        return
    with refused(tmp_path / "a.tif"):
        load_image(tmp_path / "a.tif")


def test_how_imagej_displays_a_picture_changes_no_number(tmp_path):
    pixels = RANDOM.integers(0, 256, (5, ROWS, COLUMNS), np.uint8)
    table = RANDOM.integers(0, 256, (3, 256), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata={"axes": "ZYX", "LUTs": [table]}, colormap=table)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), pixels)


@pytest.mark.parametrize("content", ["uint8", "uint16"])
def test_planes_that_may_be_slices_are_no_label(tmp_path, content):
    label = np.zeros((3, 6, 8), content)
    label[:, 2:4, 3:6] = 1
    tifffile.imwrite(tmp_path / "a.tif", label, photometric="rgb", planarconfig="separate")
    with refused(tmp_path / "a.tif"):
        load_image(tmp_path / "a.tif", as_label=True)
    assert read_image((tmp_path / "a.tif",), channels=1).array.shape[3] == 3  # and no grey picture saved in colours
    tifffile.imwrite(tmp_path / "b.tif", label, photometric="minisblack")
    np.testing.assert_array_equal(load_label(tmp_path / "b.tif")[0], label)


@pytest.mark.parametrize("photometric", ["cfa", "cielab", "separated", "icclab", "logluv"])
def test_colours_of_another_kind_are_refused(tmp_path, photometric):
    pixels = numbers("uint8", (ROWS, COLUMNS, 1 if photometric == "cfa" else 4 if photometric == "separated" else 3))
    try:
        tifffile.imwrite(tmp_path / "a.tif", np.squeeze(pixels), photometric=photometric)
    except ValueError:
        pytest.skip("not written by tifffile")
    with refused(tmp_path / "a.tif", "save it in grey or RGB"):
        load_image(tmp_path / "a.tif")


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers_are_refused(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((ROWS, COLUMNS), dtype))
    with refused(tmp_path / "a.tif", "one number a pixel"):
        load_image(tmp_path / "a.tif")


@pytest.mark.parametrize("quality", [95])
@pytest.mark.parametrize("colours", [False, True])
def test_jpeg_inside_is_read_as_an_image_and_refused_as_a_label(tmp_path, quality, colours):
    pixels = np.full((64, 64, 3) if colours else (64, 64), 100, np.uint8)
    pixels[..., :1] = 50
    options = {"photometric": "ycbcr", "subsampling": (2, 2)} if colours else {"photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", pixels, compression="jpeg", compressionargs={"level": quality}, **options)
    with Image.open(tmp_path / "a.tif") as image:
        np.testing.assert_allclose(read(tmp_path / "a.tif")[0].astype(int), np.array(image).astype(int), atol=4)
    with refused(tmp_path / "a.tif", "does not keep label numbers"):
        load_image(tmp_path / "a.tif", as_label=True)


@pytest.mark.parametrize("highest", [1, 255, 256, 60_000])
@pytest.mark.parametrize("slices", [1, 3, 4, 20])
def test_a_label_is_read_back_by_every_reader(tmp_path, highest, slices):
    tifffile.imwrite(tmp_path / "scan.tif", numbers("uint8", (slices, ROWS, COLUMNS)), photometric="minisblack")
    volume = read_image((tmp_path / "scan.tif",))
    labels = RANDOM.choice([0, highest], (slices, ROWS, COLUMNS)).astype(np.uint16)
    write_label(tmp_path / "label.tif", labels, volume.source)
    np.testing.assert_array_equal(load_label(tmp_path / "label.tif")[0], labels)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "label.tif"), np.squeeze(labels))
    with Image.open(tmp_path / "label.tif") as image:
        assert image.n_frames == slices
        np.testing.assert_array_equal(np.array(image), labels[0])
