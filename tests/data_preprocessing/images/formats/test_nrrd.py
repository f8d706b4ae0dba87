"""NRRD: headers of every form, against ITK's reader and against what was written by hand."""

import bz2
import gzip

import numpy as np
import pytest
import SimpleITK

from data_preprocessing.dataset.scans import find_images
from data_preprocessing.images.formats.nrrd import TYPES
from data_preprocessing.images.image_file import load_image
from data_preprocessing.images.volume_io import read_image, write_label
from tests.data_preprocessing.images.formats.test_metaimage import SHAPE, itk_affine, numbers, voxels_of
from tests.data_preprocessing.samples import refused

DIRECTIONS = "(0,1.6,1.2) (4,0,0) (0,-1.8,2.4)"
PACKED = {"raw": bytes, "gzip": gzip.compress, "gz": gzip.compress, "bzip2": bz2.compress, "bz2": bz2.compress}


def write(path, data, kind="short", sizes=SHAPE, encoding="raw", lines=(), end="\n"):
    """Writes a header and, after its empty line, `data`."""
    header = [
        "NRRD0005",
        "# a comment",
        f"type: {kind}",
        f"dimension: {len(sizes)}",
        f"sizes: {' '.join(map(str, sizes))}",
    ]
    header += [f"encoding: {encoding}", "endian: little", "key:=value: of another kind", *lines]
    path.write_bytes((end.join(header) + end * 2).encode() + data)
    return path


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("encoding", [*PACKED, "text", "hex"])
def test_every_type_comes_back_as_it_was_saved(tmp_path, kind, encoding):
    voxels = numbers(TYPES[kind])
    data = voxels.astype(voxels.dtype.newbyteorder("<")).tobytes(order="F")
    if encoding == "text":
        data = "\n".join(repr(value.item()) for value in voxels.ravel(order="F")).encode()
    data = data.hex().encode() if encoding == "hex" else PACKED.get(encoding, bytes)(data)
    found = voxels_of(write(tmp_path / "a.nrrd", data, kind, encoding=encoding))
    assert found.dtype == voxels.dtype
    np.testing.assert_array_equal(found, voxels)


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
@pytest.mark.parametrize("dtype", ["i2", "u4", "f8"])
def test_big_endian_is_heeded(tmp_path, encoding, dtype):
    voxels = numbers(dtype)
    names = {"i2": "short", "u4": "uint", "f8": "double"}
    data = PACKED[encoding](voxels.astype(voxels.dtype.newbyteorder(">")).tobytes(order="F"))
    path = write(tmp_path / "a.nrrd", data, names[dtype], encoding=encoding)
    path.write_bytes(path.read_bytes().replace(b"endian: little", b"endian: big"))
    np.testing.assert_array_equal(voxels_of(path), voxels)
    path.write_bytes(path.read_bytes().replace(b"endian: big\n", b""))
    with refused(path, "endian"):
        load_image(path)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["spacings: 2 3 4"],
        ["spacings: -2 3 4"],
        ["spacings: 2 3 4", "axis mins: 1 1 1"],
        ["spacings: 2 3 4", "axis mins: 1 1 1", "centers: node node node"],
        ["spacings: 2 3 4", "axis mins: 1 1 1", "centerings: cell cell cell"],
        *(
            [f"space: {space}", f"space directions: {DIRECTIONS}", "space origin: (1,-2,3e-1)"]
            for space in ("RAS", "LAS", "LPS", "right-anterior-superior", "left-anterior-superior",
                          "left-posterior-superior", "scanner-xyz", "3D-right-handed")
        ),
        ["space dimension: 3", f"space directions: {DIRECTIONS}", "space origin: (1,2,3)"],
        ["space: LPS", "space directions: (0, 1.5 ,0) (2,0,0) (0,0,-1)", "kinds: domain space space"],
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_grid_is_where_itk_sees_it(tmp_path, lines, end):
    path = write(tmp_path / "a.nrrd", numbers("i2").tobytes(order="F"), lines=lines, end=end)
    np.testing.assert_allclose(load_image(path).affine, itk_affine(path), atol=1e-12)
    np.testing.assert_array_equal(voxels_of(path), SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).T)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("kind", ["list", "vector", "RGB-color", "none only"])
def test_the_axis_that_is_none_of_space_holds_the_channels(tmp_path, place, kind):
    voxels = numbers("i2", (*SHAPE, 3))
    kinds, vectors = ["domain"] * 3, DIRECTIONS.split()
    kinds.insert(place, "???" if kind == "none only" else kind)
    vectors.insert(place, "none")
    sizes = [*SHAPE]
    sizes.insert(place, 3)
    lines = ["space: LPS", f"space directions: {' '.join(vectors)}", f"kinds: {' '.join(kinds)}"]
    path = write(tmp_path / "a.nrrd", np.moveaxis(voxels, 3, place).tobytes(order="F"), sizes=sizes, lines=lines)
    np.testing.assert_array_equal(voxels_of(path), voxels)
    plain = write(
        tmp_path / "b.nrrd", voxels[..., 0].tobytes(order="F"), lines=[lines[0], f"space directions: {DIRECTIONS}"]
    )
    np.testing.assert_array_equal(load_image(path).affine, load_image(plain).affine)
    if place == 3 and kind != "none only":
        image = SimpleITK.ReadImage(str(path))
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0, 3), voxels)


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2"])
@pytest.mark.parametrize("form", ["here", "one", "list", "list2", "pattern", "skips", "inner", "end"])
def test_voxels_anywhere_are_read_and_belong_to_the_case(tmp_path, encoding, form):
    voxels, pack = numbers("i2"), PACKED[encoding]
    slices = [pack(np.ascontiguousarray(voxels[..., k]).tobytes(order="F")) for k in range(SHAPE[2])]
    packed, lines, after, files = pack(voxels.tobytes(order="F")), [], b"", {}
    if form == "here":
        lines, after = ["line skip: 2", "byte skip: 0"], b"one\ntwo\n" + packed
    elif form == "one":
        lines, files = ["data file: a.raw"], {"a.raw": packed}
    elif form.startswith("list"):
        files = {f"s{k}.raw": each for k, each in enumerate(slices)}
        dimension = "" if form == "list" else " 2"
        lines = [f"data file: LIST{dimension}", *files]
    elif form == "pattern":
        files = {f"s{k:02d}.raw": each for k, each in enumerate(slices)}
        lines = ["datafile: s%02d.raw 0 4 1"]
    elif form == "skips":
        skipped = 3 if encoding == "raw" else 0
        lines, files = (
            ["data file: a.raw", "line skip: 1", f"byte skip: {skipped}"],
            {"a.raw": b"x\n" + b"abc"[:skipped] + packed},
        )
    elif form == "inner":
        inner = pack(b"abc" + voxels.tobytes(order="F"))
        lines, files = ["data file: a.raw", "byte skip: 3"], {"a.raw": inner}
    elif encoding == "raw":
        lines, files = ["data file: a.raw", "byteskip: -1"], {"a.raw": b"abcdef" + packed}
    else:
        pytest.skip("the end of compressed data is not told")
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    path = write(tmp_path / ("a.nhdr" if files else "a.nrrd"), after, encoding=encoding, lines=lines)
    if files:
        path.write_bytes(path.read_bytes().rstrip(b"\n") + b"\n")
    np.testing.assert_array_equal(voxels_of(path), voxels)
    (case,) = find_images(tmp_path, 1)
    assert {file.name for file in case.files} == {path.name, *files}
    if files:
        (tmp_path / next(iter(files))).unlink()
        with refused(path, next(iter(files))):
            load_image(path)


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "text", "hex"])
@pytest.mark.parametrize("change", [-1, 1])
def test_fewer_or_more_slices_than_stated_are_refused(tmp_path, encoding, change):
    voxels = numbers("i2", (*SHAPE[:2], SHAPE[2] + change))
    data = voxels.tobytes(order="F")
    if encoding == "text":
        data = " ".join(map(str, voxels.ravel(order="F"))).encode()
    data = data.hex().encode() if encoding == "hex" else PACKED.get(encoding, bytes)(data)
    with refused(write(tmp_path / "a.nrrd", data, encoding=encoding)):
        load_image(tmp_path / "a.nrrd")


@pytest.mark.parametrize("encoding", ["gzip", "bzip2"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_a_truncated_stream_is_refused(tmp_path, encoding, share):
    data = PACKED[encoding](numbers("i2", (30, 20, 10)).tobytes(order="F"))
    path = write(tmp_path / "a.nrrd", data[: int(len(data) * share)], sizes=(30, 20, 10), encoding=encoding)
    with refused(path):
        load_image(path)


def test_several_members_of_gzip_are_one_stream(tmp_path):
    voxels = numbers("i2")
    data = voxels.tobytes(order="F")
    path = write(tmp_path / "a.nrrd", gzip.compress(data[:99]) + gzip.compress(data[99:]), encoding="gzip")
    np.testing.assert_array_equal(voxels_of(path), voxels)


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (["kinds: complex domain domain"], "short"),
        (["kinds: list domain list"], "short"),
        (["kinds: domain domain"], "short"),
        (["space: LPS", "space directions: (1,0,0) (0,1,0)"], "short"),
        (["space: LPS", "space directions: (1,0,0) (0,1,0) (0,0,x)"], "short"),
        (["space: RAS", "spacings: 1 2 3"], "short"),
        (["axis mins: 0 0 0", "axis maxs: 1 1 1"], "short"),
        (["sizes: 1 2 3"], "short"),
        ([], "block"),
        (["encoding: zrl"], "short"),
        (["data file: LIST 1", "b.raw"], "short"),
    ],
    ids=str,
)
def test_a_header_that_is_not_understood_is_refused(tmp_path, lines, kind):
    with refused(write(tmp_path / "a.nrrd", numbers("i2").tobytes(order="F"), kind, lines=lines)):
        load_image(tmp_path / "a.nrrd")


@pytest.mark.parametrize("highest", [1, 256, 65_535])
@pytest.mark.parametrize("space", ["RAS", "LPS", "LAS"])
@pytest.mark.parametrize("channels", [False, True])
def test_a_label_is_read_back_by_itk(tmp_path, highest, space, channels):
    lines = [f"space: {space}", "space origin: (0.1,-2.7,3e-5)"]
    directions = f"space directions: {'none ' * channels}{DIRECTIONS}"
    sizes = (2, *SHAPE) if channels else SHAPE
    kinds = [f"kinds: {'list ' * channels}domain domain domain"]
    path = write(
        tmp_path / "a.nrrd", numbers("i2", sizes).tobytes(order="F"), sizes=sizes, lines=[*lines, directions, *kinds]
    )
    volume = read_image((path,))
    labels = np.random.default_rng(0).choice([0, highest], volume.array.shape[:3]).astype(np.uint16)
    write_label(tmp_path / "label.nrrd", labels, volume.source)
    np.testing.assert_array_equal(load_image(tmp_path / "label.nrrd").affine, load_image(path).affine)
    np.testing.assert_allclose(itk_affine(tmp_path / "label.nrrd"), load_image(path).affine, atol=1e-12)
    written = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "label.nrrd"))).T
    np.testing.assert_array_equal(written, voxels_of(tmp_path / "label.nrrd"))
    assert written.max() == highest


def test_a_plane_in_space_keeps_its_place(tmp_path):
    lines = ["space: LPS", "space directions: (0,2,0) (0,0,3)", "space origin: (1,2,3)"]
    path = write(tmp_path / "a.nrrd", numbers("i2", (4, 3)).tobytes(order="F"), sizes=(4, 3), lines=lines)
    image = load_image(path)
    assert image.shape == (4, 3, 1)
    np.testing.assert_array_equal(image.affine[:3], [[0, 0, -1, -1], [-2, 0, 0, -2], [0, 3, 0, 3]])
    write_label(tmp_path / "b.nrrd", np.ones(read_image((path,)).array.shape[:3], np.uint8), read_image((path,)).source)
    np.testing.assert_array_equal(load_image(tmp_path / "b.nrrd").affine, image.affine)
