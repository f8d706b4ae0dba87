from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from data_preprocessing.images.image_file import load_image, read_header, save_image
from data_preprocessing.images.volume_io import load_label, read_image, read_label, write_label
from tests.data_preprocessing.samples import refused

ROWS, COLUMNS = 6, 9
RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (ROWS, COLUMNS), np.uint8)
COLOURS = RANDOM.integers(0, 256, (ROWS, COLUMNS, 3), np.uint8)
DEEP = RANDOM.integers(0, 65536, (ROWS, COLUMNS), np.uint16)
DEEP_COLOURS = RANDOM.integers(0, 65536, (ROWS, COLUMNS, 3), np.uint16)
LARGE = RANDOM.integers(0, 256, (60, 70), np.uint8)  # no small part of its file is all of it


def picture(path: Path, pixels: np.ndarray, **options) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def stack(path: Path, pages: np.ndarray, **options) -> Path:
    first, *others = map(Image.fromarray, pages)
    first.save(path, save_all=True, append_images=others, **options)
    return path


def with_itk(path: Path, pixels: np.ndarray) -> Path:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels, isVector=pixels.shape[-1] in (2, 3, 4)), str(path))
    return path


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.tiff", "a.b.PNG"])
def test_grey_pixels_are_rows_and_columns_as_they_are_seen(tmp_path, name):
    volume = read_image((picture(tmp_path / name, GREY),))
    np.testing.assert_array_equal(volume.array[0, :, :, 0], GREY)
    assert volume.spacing == (1, 1, 1)
    assert volume.findings == ()
    np.testing.assert_array_equal(volume.source.affine, np.eye(4))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_are_read_in_full(tmp_path, suffix):
    np.testing.assert_array_equal(read_image((picture(tmp_path / f"a{suffix}", DEEP),)).array[0, :, :, 0], DEEP)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_colours_are_channels(tmp_path, suffix):
    np.testing.assert_array_equal(read_image((picture(tmp_path / f"a{suffix}", COLOURS),)).array[0], COLOURS)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("alpha", [False, True])
def test_colours_of_16_bits_are_read_in_full(tmp_path, suffix, alpha):
    pixels = np.concatenate([DEEP_COLOURS, DEEP[..., np.newaxis]], axis=-1) if alpha else DEEP_COLOURS
    path = with_itk(tmp_path / f"a{suffix}", pixels)
    np.testing.assert_array_equal(read_image((path,)).array[0], DEEP_COLOURS)


def test_a_stack_in_colours_of_16_bits_is_read_in_full(tmp_path):
    pages = RANDOM.integers(0, 65536, (4, ROWS, COLUMNS, 3), np.uint16)
    np.testing.assert_array_equal(read_image((with_itk(tmp_path / "a.tif", pages),)).array, pages)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_alpha_is_dropped(tmp_path, suffix):
    path = picture(tmp_path / f"a{suffix}", np.concatenate([COLOURS, GREY[..., np.newaxis]], axis=-1))
    np.testing.assert_array_equal(read_image((path,)).array[0], COLOURS)


def test_alpha_of_a_grey_picture_is_dropped(tmp_path):
    path = picture(tmp_path / "a.png", np.stack([GREY, GREY[::-1]], axis=-1))
    np.testing.assert_array_equal(read_image((path,)).array[0, :, :, 0], GREY)


@pytest.mark.parametrize(("pixels", "channels"), [(GREY, 1), (COLOURS, 3)])
def test_jpeg_is_read_nearly_as_it_was(tmp_path, pixels, channels):
    smooth = np.full_like(pixels, 100)
    array = read_image((picture(tmp_path / "a.jpg", smooth, quality=95),)).array[0]
    assert array.shape == (ROWS, COLUMNS, channels)
    np.testing.assert_allclose(array, 100, atol=3)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_pages_of_a_tiff_are_slices(tmp_path, compression, dtype):
    pages = RANDOM.integers(0, np.iinfo(dtype).max, (20, ROWS, COLUMNS), dtype)
    path = stack(tmp_path / "a.tif", pages, compression=compression)
    np.testing.assert_array_equal(read_image((path,)).array[..., 0], pages)
    assert read_header(path).get_data_shape() == (COLUMNS, ROWS, 20)


def test_pages_of_differing_size_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(GREY).save(path, save_all=True, append_images=[Image.fromarray(GREY[:-1])])
    with refused(path, "pages differ in size"):
        read_image((path,))


def test_a_grey_picture_saved_in_colours_has_one_channel_where_one_is_wanted(tmp_path):
    path = picture(tmp_path / "a.png", np.repeat(GREY[..., np.newaxis], 3, axis=-1))
    np.testing.assert_array_equal(read_image((path,), channels=1).array[0, :, :, 0], GREY)
    assert read_image((path,), channels=1).source.shape == (COLUMNS, ROWS, 1)
    assert read_image((path,), channels=3).array.shape[3] == 3
    assert read_image((picture(path, COLOURS),), channels=1).array.shape[3] == 3  # refused by who wants it


# Labels


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
@pytest.mark.parametrize(("highest", "dtype"), [(255, np.uint8), (256, np.uint16), (60_000, np.uint16)])
def test_a_label_comes_back_from_its_file(tmp_path, suffix, highest, dtype):
    source = read_image((picture(tmp_path / f"image{suffix}", GREY),)).source
    labels = RANDOM.choice(np.array([0, 1, highest], np.uint16), (1, ROWS, COLUMNS))
    path = tmp_path / f"label{suffix}"
    if suffix == ".bmp" and highest > 255:
        with refused(path, "up to 255, and there is label"):
            write_label(path, labels, source)
        assert not path.exists()
        return
    write_label(path, labels, source)
    np.testing.assert_array_equal(load_label(path)[0], labels)
    with Image.open(path) as written:
        assert np.array(written).dtype == dtype
        assert written.size == (COLUMNS, ROWS)
        assert written.format == {".png": "PNG", ".bmp": "BMP", ".tif": "TIFF"}[suffix]


def test_a_stack_of_20_pages_gives_a_label_of_20_pages(tmp_path):
    volume = read_image((stack(tmp_path / "image.tif", RANDOM.integers(0, 99, (20, ROWS, COLUMNS), np.uint8)),))
    labels = RANDOM.integers(0, 3, (20, ROWS, COLUMNS), np.uint8)
    write_label(tmp_path / "label.tif", labels, volume.source)
    with Image.open(tmp_path / "label.tif") as written:
        assert written.n_frames == 20
    np.testing.assert_array_equal(read_label(tmp_path / "label.tif", volume), labels)


def test_the_label_of_a_colour_picture_has_one_channel(tmp_path):
    volume = read_image((picture(tmp_path / "image.png", COLOURS),))
    write_label(tmp_path / "label.png", np.ones((1, ROWS, COLUMNS), np.uint8), volume.source)
    assert (read_label(tmp_path / "label.png", volume) == 1).all()


def test_a_palette_is_numbers_in_a_label_and_colours_in_an_image(tmp_path):
    indexed = Image.fromarray(GREY % 3)
    indexed.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    indexed.save(tmp_path / "a.png")
    np.testing.assert_array_equal(load_label(tmp_path / "a.png")[0][0], GREY % 3)
    np.testing.assert_array_equal(read_image((tmp_path / "a.png",)).array[0], np.eye(3)[GREY % 3] * 255)


def test_a_label_of_one_bit_has_the_numbers_0_and_1(tmp_path):
    Image.fromarray(GREY > 99).save(tmp_path / "a.png")
    np.testing.assert_array_equal(load_label(tmp_path / "a.png")[0][0], GREY > 99)


def test_a_label_in_colours_is_refused_unless_they_are_grey(tmp_path):
    with refused(picture(tmp_path / "a.png", COLOURS), "a label in colours"):
        load_label(tmp_path / "a.png")
    picture(tmp_path / "b.png", np.repeat(GREY[..., np.newaxis], 3, axis=-1))
    np.testing.assert_array_equal(load_label(tmp_path / "b.png")[0][0], GREY)


def test_a_label_in_jpeg_is_refused(tmp_path):
    with refused(picture(tmp_path / "a.jpg", GREY), "does not keep label numbers; save the label as PNG"):
        load_label(tmp_path / "a.jpg")


# Damage


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg", ".tif"])
@pytest.mark.parametrize("lost", [5, 60, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, suffix, lost):
    path = picture(tmp_path / f"a{suffix}", LARGE)
    content = path.read_bytes()
    path.write_bytes(content[: -lost if lost > 1 else int(len(content) * (1 - lost))])
    with refused(path, "not a valid"):
        read_image((path,))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.97])
def test_a_truncated_stack_is_refused_and_not_read_in_part(tmp_path, compression, share):
    path = stack(tmp_path / "a.tif", np.stack([LARGE] * 20), compression=compression)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with refused(path, "not a valid TIFF file, or truncated"):
        read_image((path,))


def test_a_flipped_byte_in_a_png_is_refused(tmp_path):
    path = picture(tmp_path / "a.png", LARGE)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with refused(path, "not a valid PNG"):
        read_image((path,))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg", ".tif"])
@pytest.mark.parametrize(("content", "problem"), [(b"", "empty"), (b"nothing of the kind" * 99, "not a valid")])
def test_another_content_is_refused(tmp_path, suffix, content, problem):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with refused(path, problem):
        load_image(path)
    assert read_header(path) is None


def test_a_name_that_says_another_format_is_refused(tmp_path):
    path = picture(tmp_path / "scan.1.jpg", GREY, format="PNG")
    with refused(path, "the content is PNG; rename it to scan.1.png"):
        load_image(path)


def test_a_missing_file_is_refused(tmp_path):
    with refused(tmp_path / "a.png", "no such file"):
        load_image(tmp_path / "a.png")


def test_pillows_limit_of_size_does_not_count_and_is_left_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", GREY.size // 3)
    path = picture(tmp_path / "a.png", GREY)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)
    assert load_image(path).shape == (COLUMNS, ROWS, 1)
    assert GREY.size // 3 == Image.MAX_IMAGE_PIXELS


def test_a_picture_of_more_than_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": ROWS * COLUMNS - 1}))
    with refused(picture(tmp_path / "a.png", GREY), "memory"):
        load_image(tmp_path / "a.png")


def test_a_very_long_picture_is_read(tmp_path):
    line = RANDOM.integers(0, 255, (1, 40_000), np.uint8)
    image = load_image(picture(tmp_path / "a.png", line))
    save_image(tmp_path / "b.png", image)
    np.testing.assert_array_equal(load_label(tmp_path / "b.png")[0][0], line)


def test_an_animation_is_refused_for_what_it_is(tmp_path):
    path = stack(tmp_path / "a.png", np.stack([GREY, GREY.T.reshape(GREY.shape)]))
    assert read_header(path) is None
    with refused(path, "it is animated; save one of its frames"):
        read_image((path,))


def test_what_is_wrong_is_told_without_addresses_of_objects(tmp_path):
    path = picture(tmp_path / "a.gif", GREY).rename(tmp_path / "a.png")
    with refused(path, "not a valid PNG"):
        read_image((path,))
