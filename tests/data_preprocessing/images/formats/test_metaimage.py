"""MetaImage: headers of every form, against ITK's writer and reader, and against what was written by hand."""

import zlib

import numpy as np
import pytest
import SimpleITK

from data_preprocessing.dataset.scans import find_images
from data_preprocessing.images.image_file import load_image, read_header
from data_preprocessing.images.volume_io import read_image, write_label
from tests.data_preprocessing.samples import refused

SHAPE = (7, 6, 5)  # (i, j, k)
TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
GRID = {
    "TransformMatrix": "0 1 0 0.6 0 0.8 -0.8 0 0.6",
    "Offset": "-7.25 11 3e-1",
    "ElementSpacing": "0.5 1.5 2.5",
}


def numbers(dtype, shape=SHAPE):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return np.random.default_rng(0).normal(0, 100, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return np.random.default_rng(0).integers(limits.min, limits.max, shape, dtype, endpoint=True)


def write(path, data, kind="MET_SHORT", shape=SHAPE, rest="LOCAL", **fields):
    """Writes a header and, after it, `data`."""
    lines = {"ObjectType": "Image", "NDims": len(shape), "BinaryData": True, "BinaryDataByteOrderMSB": False}
    lines |= fields | {"DimSize": " ".join(map(str, shape)), "ElementType": kind, "ElementDataFile": rest}
    header = "".join(f"{name} = {value}\n" for name, value in lines.items() if value is not None)
    path.write_bytes(header.encode() + data)
    return path


def voxels_of(path):
    image = load_image(path)
    header = read_header(path)
    assert (header.get_data_shape(), header.get_data_dtype()) == (image.shape, image.get_data_dtype())
    return np.asarray(image.dataobj)


def itk_affine(path):
    """RAS+, as ITK reads it."""
    image = SimpleITK.ReadImage(str(path))
    axes = image.GetDimension()
    affine = np.eye(4)
    affine[:axes, :axes] = np.reshape(image.GetDirection(), (axes, axes)) * np.array(image.GetSpacing())
    affine[:axes, 3] = image.GetOrigin()
    return np.diag([-1, -1, 1, 1]) @ affine


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("key", ["BinaryDataByteOrderMSB", "ElementByteOrderMSB"])
def test_every_type_comes_back_as_it_was_saved(tmp_path, kind, big, compressed, components, key):
    voxels = numbers(TYPES[kind], (components, *SHAPE))
    data = voxels.astype(voxels.dtype.newbyteorder(">" if big else "<")).tobytes(order="F")
    fields = {"BinaryDataByteOrderMSB": None, key: big, "CompressedData": compressed}
    if components > 1:
        fields["ElementNumberOfChannels"] = components
    path = write(tmp_path / "a.mha", zlib.compress(data) if compressed else data, kind, **fields)
    found = voxels_of(path)
    assert found.dtype == voxels.dtype
    np.testing.assert_array_equal(found, np.moveaxis(voxels, 0, -1) if components > 1 else voxels[0])


@pytest.mark.parametrize("size", [None, 0, 1, -20, 20, 10**9])
def test_the_stated_size_of_compressed_data_does_not_matter(tmp_path, size):
    voxels = numbers("i2", (24, 20, 18))
    stream = zlib.compress(voxels.tobytes(order="F"))
    stated = None if size is None else len(stream) + size
    path = write(tmp_path / "a.mha", stream, shape=voxels.shape, CompressedData=True, CompressedDataSize=stated)
    np.testing.assert_array_equal(voxels_of(path), voxels)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("change", [-1, -2, 5])
def test_fewer_or_more_slices_than_stated_are_refused(tmp_path, compressed, change):
    data = numbers("i2", (*SHAPE[:2], SHAPE[2] + change)).tobytes(order="F")
    with refused(write(tmp_path / "a.mha", zlib.compress(data) if compressed else data, CompressedData=compressed)):
        load_image(tmp_path / "a.mha")


def test_a_few_bytes_after_the_voxels_do_not_matter(tmp_path):
    voxels = numbers("i2")
    for data in (voxels.tobytes(order="F"), zlib.compress(voxels.tobytes(order="F"))):
        path = write(tmp_path / "a.mha", data + b"\r\n\0", CompressedData=len(data) != voxels.nbytes)
        np.testing.assert_array_equal(voxels_of(path), voxels)


@pytest.mark.parametrize(
    "fields",
    [
        GRID,
        {"Rotation": GRID["TransformMatrix"], "Position": "1 2 3", "ElementSize": "0.5 1.5 2.5"},
        {"Orientation": GRID["TransformMatrix"], "Origin": "1 2 3", "ElementSize": "9 9 9", "ElementSpacing": "1 2 3"},
        {"ElementSpacing": "-1 2 3"},
        {},
    ],
    ids=str,
)
def test_the_grid_is_where_itk_sees_it(tmp_path, fields):
    path = write(tmp_path / "a.mha", numbers("i2").tobytes(order="F"), **fields)
    np.testing.assert_allclose(load_image(path).affine, itk_affine(path), atol=1e-12)
    np.testing.assert_array_equal(voxels_of(path), SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).T)


@pytest.mark.parametrize("form", ["one", "list", "pattern", "header", "minus", "local minus"])
@pytest.mark.parametrize("compressed", [False, True])
def test_voxels_in_other_files_are_read_and_belong_to_the_case(tmp_path, form, compressed):
    voxels = numbers("i2")
    slices = [np.ascontiguousarray(voxels[..., k]) for k in range(SHAPE[2])]
    pack = zlib.compress if compressed else bytes
    files, fields, after = {"a.raw": pack(voxels.tobytes(order="F"))}, {"CompressedData": compressed}, b""
    rest = "a.raw"
    if form in ("list", "pattern"):
        files = {f"s{k + 1:02d}.raw": pack(each.tobytes(order="F")) for k, each in enumerate(slices)}
        rest, after = ("LIST", "\n".join(files).encode()) if form == "list" else ("s%02d.raw 1 5 1", b"")
    elif form == "header":
        files, fields["HeaderSize"] = {"a.raw": b"x" * 13 + files["a.raw"]}, 13
    elif "minus" in form:
        if compressed:
            pytest.skip("the end of compressed data is not told")
        files, fields["HeaderSize"] = {"a.raw": b"x" * 13 + files["a.raw"]}, -1
        if form == "local minus":
            files, rest, after = {}, "LOCAL", files["a.raw"]
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    path = write(tmp_path / ("a.mhd" if files else "a.mha"), after, rest=rest, **fields)
    np.testing.assert_array_equal(voxels_of(path), voxels)
    (case,) = find_images(tmp_path, 1)
    assert {file.name for file in case.files} == {path.name, *files}
    if files:
        (tmp_path / next(iter(files))).unlink()
        with refused(path, next(iter(files))):
            load_image(path)


def test_voxels_as_text_are_read(tmp_path):
    voxels = numbers("f4")
    text = " ".join(repr(float(value)) for value in voxels.ravel(order="F"))
    path = write(tmp_path / "a.mha", text.encode(), "MET_FLOAT", BinaryData=False)
    np.testing.assert_array_equal(voxels_of(path), voxels)
    path.write_bytes(path.read_bytes().rpartition(b" ")[0])
    with refused(path):
        load_image(path)


@pytest.mark.parametrize(
    "fields",
    [
        {"ElementToIntensityFunctionSlope": 2},
        {"ElementToIntensityFunctionOffset": -1024},
        {"ObjectType": "Mesh"},
        {"ElementSpacing": "1,5 1 1"},
        {"ElementSpacing": "1 1"},
        {"HeaderSize": -3},
        {"ElementNumberOfChannels": 0},
    ],
    ids=str,
)
def test_a_header_that_is_not_understood_is_refused(tmp_path, fields):
    with refused(write(tmp_path / "a.mha", numbers("i2").tobytes(order="F"), **fields)):
        load_image(tmp_path / "a.mha")


def test_another_type_is_told_as_it_is(tmp_path):
    for kind in ("MET_STRING", "MET_OTHER", "MET_FLOAT_MATRIX"):
        with refused(write(tmp_path / "a.mha", bytes(9999), kind), kind):
            load_image(tmp_path / "a.mha")


def test_no_more_is_decompressed_than_is_stated(tmp_path):
    import tracemalloc

    path = write(tmp_path / "a.mha", zlib.compress(bytes(2**28)), CompressedData=True)
    tracemalloc.start()
    with refused(path):
        load_image(path)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize("highest", [1, 255, 256, 65_535])
@pytest.mark.parametrize("suffix", [".mha", ".mhd"])
def test_a_label_is_read_back_by_itk(tmp_path, highest, suffix):
    path = tmp_path / f"a{suffix}"
    (tmp_path / "a.raw").write_bytes(numbers("i2").tobytes(order="F"))
    write(path, b"" if suffix == ".mhd" else (tmp_path / "a.raw").read_bytes(),
          rest="a.raw" if suffix == ".mhd" else "LOCAL", **GRID)  # fmt: skip
    labels = np.random.default_rng(0).choice([0, highest], read_image((path,)).array.shape[:3]).astype(np.uint16)
    write_label(tmp_path / "label.mha", labels, read_image((path,)).source)
    written, scan = SimpleITK.ReadImage(str(tmp_path / "label.mha")), SimpleITK.ReadImage(str(path))
    assert (written.GetOrigin(), written.GetSpacing()) == (scan.GetOrigin(), scan.GetSpacing())
    assert written.GetDirection() == scan.GetDirection()
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(written).T, voxels_of(tmp_path / "label.mha"))
    np.testing.assert_array_equal(np.sort(voxels_of(tmp_path / "label.mha").ravel()), np.sort(labels.ravel()))
