"""What the pages of a TIFF are: no slice is left out, no channel taken for a slice."""

import json
import logging

import numpy as np
import pytest
import tifffile

from data_preprocessing.common.errors import UserError
from data_preprocessing.images.image_file import load_image, read_header
from data_preprocessing.images.volume_io import read_image
from tests.data_preprocessing.samples import refused

RANDOM = np.random.default_rng(0)
Y, X = 33, 47


def numbers(*shape):
    return RANDOM.integers(0, 60_000, shape, np.uint16)


def read(path):
    """`(slice, row, column, channel)`."""
    array = read_image((path,)).array
    assert (
        read_header(path).get_data_shape()
        == np.squeeze(array, 3 if array.shape[3] == 1 else ()).transpose((2, 1, 0, 3)[: 3 + (array.shape[3] > 1)]).shape
    )
    return array


@pytest.mark.parametrize("options", [{"imagej": True}, {"ome": True}, {"ome": True, "bigtiff": True}, {}], ids=str)
@pytest.mark.parametrize("axes", ["ZYX", "CYX", "ZCYX", "TZCYX", "TYX", "YXS", "ZYXS"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_what_is_stated_of_the_pages_is_heeded(tmp_path, options, axes, compression):
    sizes = {"T": 1 if "Z" in axes else 4, "Z": 5, "C": 2, "Y": Y, "X": X, "S": 3}
    pixels = numbers(*(sizes[axis] for axis in axes))
    photometric = "rgb" if "S" in axes else "minisblack"
    if "imagej" in options and "S" in axes:
        pixels = pixels.astype(np.uint8)
    metadata = {"axes": axes}
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, photometric=photometric, metadata=metadata, compression=compression, **options
    )
    channel_last = np.moveaxis(pixels, axes.index("C"), -1) if "C" in axes else pixels
    truth = channel_last.reshape(-1, Y, X, sizes["C"] if "C" in axes else sizes["S"] if "S" in axes else 1)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), truth)


def test_channels_are_no_label(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", numbers(3, Y, X) * 0 + 1, imagej=True, metadata={"axes": "CYX"})
    with refused(tmp_path / "a.tif", "axes"):
        load_image(tmp_path / "a.tif", as_label=True)


def test_channels_before_slices_are_told_apart(tmp_path):
    pixels = numbers(2, 5, Y, X)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", ome=True, metadata={"axes": "CZYX"})
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), np.moveaxis(pixels, 0, -1))


@pytest.mark.parametrize("options", [{"imagej": True}, {"ome": True}, {}], ids=str)
def test_points_of_time_and_slices_at_once_are_refused(tmp_path, options):
    pixels = numbers(3, 5, Y, X)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", metadata={"axes": "TZYX"}, **options)
    with refused(tmp_path / "a.tif"):
        load_image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    "shape", [(Y, X, 1), (5, Y, X, 1), (1, 5, Y, X), (1, Y, X), (5, 1, X), (5, Y, 1), (1, 1), (1, 9)]
)
def test_axes_of_one_do_not_matter(tmp_path, shape):
    pixels = numbers(*shape)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack")
    np.testing.assert_array_equal(np.squeeze(read(tmp_path / "a.tif")), np.squeeze(pixels))


def test_two_unnamed_axes_of_pages_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", numbers(2, 5, Y, X), photometric="minisblack")
    with refused(tmp_path / "a.tif"):
        load_image(tmp_path / "a.tif")


def test_one_page_that_stands_for_all_slices_is_read_whole(tmp_path):
    pixels = numbers(7, Y, X)
    description = "ImageJ=1.53\nimages=7\nslices=7\nmin=0\nmax=1\n"
    with tifffile.TiffWriter(tmp_path / "a.tif", byteorder=">") as writer:
        writer.write(pixels[0], photometric="minisblack", description=description, metadata=None)
    content = (tmp_path / "a.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        start = file.pages[0].dataoffsets[0]
    (tmp_path / "a.tif").write_bytes(content[:start] + pixels.astype(">u2").tobytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert len(file.pages) == 1
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[..., 0], pixels)
    (tmp_path / "a.tif").write_bytes(content[:start] + pixels[:6].astype(">u2").tobytes())
    with refused(tmp_path / "a.tif", "truncated"):
        load_image(tmp_path / "a.tif")


def test_a_truncated_list_of_tags_of_tifffile_is_read_whole(tmp_path):
    pixels = numbers(7, Y, X)
    with tifffile.TiffWriter(tmp_path / "a.tif", shaped=True) as writer:
        writer.write(pixels, photometric="minisblack", metadata={"truncated": True}, contiguous=True)
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[..., 0], pixels)


@pytest.mark.parametrize("pages", [2, 9, 40])
def test_pages_of_which_nothing_is_said_are_slices(tmp_path, pages):
    pixels = numbers(pages, Y, X)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in pixels:
            writer.write(page, photometric="minisblack", metadata=None, compression="lzw")
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[..., 0], pixels)


@pytest.mark.parametrize("place", [0, 1, 3, 11])
@pytest.mark.parametrize("change", ["dtype", "size", "white", "colours"])
def test_pages_that_differ_are_refused(tmp_path, place, change):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for number in range(12):
            page, photometric = numbers(Y, X), "minisblack"
            if number == place:
                page = {"dtype": page.astype(np.uint8), "size": page[:-1], "colours": numbers(Y, X, 3)}.get(
                    change, page
                )
                photometric = {"white": "miniswhite", "colours": "rgb"}.get(change, photometric)
            writer.write(page, photometric=photometric, metadata=None)
    with refused(tmp_path / "a.tif"):
        load_image(tmp_path / "a.tif")


@pytest.mark.parametrize("below", [True, False])
@pytest.mark.parametrize("options", [{}, {"ome": True}], ids=str)
def test_smaller_copies_are_no_slices(tmp_path, below, options):
    pixels = numbers(3, 64, 64)
    metadata = {"axes": "ZYX"} if options else None
    with tifffile.TiffWriter(tmp_path / "a.tif", **options) as writer:
        if below:
            writer.write(pixels, subifds=2, photometric="minisblack", metadata=metadata, tile=(32, 32))
            for step in (2, 4):
                small = np.ascontiguousarray(pixels[:, ::step, ::step])
                writer.write(small, subfiletype=1, photometric="minisblack", tile=(16, 16))
        else:
            writer.write(pixels, photometric="minisblack", metadata=metadata)
            writer.write(pixels[0, ::2, ::2].copy(), subfiletype=1, photometric="minisblack", metadata=None)
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[..., 0], pixels)


def test_an_image_below_a_page_that_is_no_copy_is_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(numbers(Y, X), subifds=1, photometric="minisblack", metadata=None)
        writer.write(numbers(Y, X), photometric="minisblack", metadata=None)
    with refused(tmp_path / "a.tif"):
        load_image(tmp_path / "a.tif")


def test_an_ome_file_that_names_others_is_refused(tmp_path):
    for name in "ab":
        tifffile.imwrite(tmp_path / f"{name}.ome.tif", numbers(4, Y, X), metadata={"axes": "ZYX"}, ome=True)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        xml = file.ome_metadata
    xml = xml.replace('SizeZ="4"', 'SizeZ="8"')
    first = (
        '<TiffData IFD="{ifd}" FirstZ="{z}" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{name}</UUID></TiffData>'
    )
    planes = "".join(first.format(ifd=z % 4, z=z, name=f"{'ab'[z // 4]}.ome.tif") for z in range(8))
    start = xml.index("<TiffData")
    xml = xml[:start] + planes + xml[xml.index("</Pixels>") :]
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        for page in numbers(4, Y, X):
            writer.write(page, photometric="minisblack", description=xml, metadata=None)
            xml = None
    with refused(tmp_path / "a.ome.tif"):
        load_image(tmp_path / "a.ome.tif")


def test_ome_planes_in_another_order_than_their_pages_are_put_in_order(tmp_path):
    pixels = numbers(4, Y, X)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", metadata={"axes": "ZYX"}, ome=True)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        xml = file.ome_metadata
    planes = "".join(f'<TiffData IFD="{3 - z}" FirstZ="{z}" PlaneCount="1"/>' for z in range(4))
    xml = xml[: xml.index("<TiffData")] + planes + xml[xml.index("</Pixels>") :]
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for number, page in enumerate(pixels):
            writer.write(page, photometric="minisblack", description=xml if number == 0 else None, metadata=None)
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[..., 0], pixels[::-1])


def test_nothing_is_logged_and_the_logger_stays_as_it_was(tmp_path, capfd):
    tifffile.imwrite(tmp_path / "a.tif", numbers(Y, X), metadata=None)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: len(content) // 2])
    with refused(tmp_path / "a.tif"):
        load_image(tmp_path / "a.tif")
    assert "".join(capfd.readouterr()) == ""
    assert not logging.getLogger("tifffile").disabled


def test_a_description_that_is_no_metadata_is_passed_over(tmp_path):
    pixels = numbers(4, Y, X)
    for description in ("ImageJ=", "<OME>", json.dumps({"shape": [2, 2]}), "any words"):
        with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
            for page in pixels:
                writer.write(page, photometric="minisblack", description=description, metadata=None)
        try:
            found = read(tmp_path / "a.tif")
        except UserError as error:
            assert str(tmp_path / "a.tif") in str(error)
        else:
            np.testing.assert_array_equal(found[..., 0], pixels)
