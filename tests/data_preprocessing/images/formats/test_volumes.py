"""NRRD, MHA and MGZ: read as their NIfTI twins, results on exactly the grid of the scan."""

import gzip

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from data_preprocessing.images.checks.finding import Row
from data_preprocessing.images.image_file import load_image, read_header
from data_preprocessing.images.volume_io import load_label, read_image, read_label, same_grid, write_label
from tests.data_preprocessing.samples import LAYOUTS, OBLIQUE, RAS, anatomy, refused

SUFFIXES = [".nrrd", ".mha", ".mgz", ".mgh"]
LARGE = np.random.default_rng(0).integers(0, 999, (20, 21, 22)).astype(np.int16)


def write(path, voxels, affine, compressed=False):
    """Writes `(i, j, k)` voxels of an affine, RAS+, as the suffix of `path` says."""
    if path.suffix in (".mgz", ".mgh"):
        nib.save(nib.MGHImage(voxels, affine), path)
        return path
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(voxels.T))
    image.SetSpacing(spacing.tolist())
    image.SetOrigin((affine[:3, 3] * (-1, -1, 1)).tolist())
    image.SetDirection((np.diag([-1, -1, 1]) @ affine[:3, :3] / spacing).ravel().tolist())
    SimpleITK.WriteImage(image, str(path), useCompression=compressed)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("layout", [*LAYOUTS[::7], *OBLIQUE], ids=str)
def test_a_file_is_read_as_its_nifti_twin(tmp_path, suffix, layout):
    voxels, affine = layout.voxels(anatomy()), layout.affine()
    nib.save(nib.Nifti1Image(voxels, affine), tmp_path / "twin.nii.gz")
    twin = read_image((tmp_path / "twin.nii.gz",))
    volume = read_image((write(tmp_path / f"a{suffix}", voxels, affine),))
    np.testing.assert_array_equal(volume.array, twin.array)
    assert volume.spacing == pytest.approx(twin.spacing, abs=1e-5)
    np.testing.assert_allclose(volume.source.affine, affine, atol=1e-5)
    assert volume.findings == ()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("layout", [RAS, *OBLIQUE], ids=str)
@pytest.mark.parametrize("highest", [7, 300])
def test_a_label_comes_back_on_exactly_the_grid_of_the_scan(tmp_path, suffix, layout, highest):
    scan = write(tmp_path / f"scan{suffix}", layout.voxels(anatomy()), layout.affine())
    volume = read_image((scan,))
    labels = np.random.default_rng(0).choice([0, highest], volume.array.shape[:3]).astype(np.uint16)
    path = tmp_path / f"label{suffix}"
    write_label(path, labels, volume.source)
    np.testing.assert_array_equal(read_label(path, volume), labels)
    if suffix in (".mgz", ".mgh"):
        np.testing.assert_array_equal(load_image(path).affine, load_image(scan).affine)
        return
    written, given = SimpleITK.ReadImage(str(path)), SimpleITK.ReadImage(str(scan))
    assert written.GetSize() == given.GetSize()
    digits = 1e-14 if suffix == ".nrrd" else 0  # NRRD states spacing and direction as one product
    assert written.GetOrigin() == given.GetOrigin()
    np.testing.assert_allclose(written.GetSpacing(), given.GetSpacing(), rtol=digits)
    np.testing.assert_allclose(written.GetDirection(), given.GetDirection(), rtol=0, atol=digits)
    assert written.GetPixelIDTypeAsString() == ("8" if highest < 256 else "16") + "-bit unsigned integer"


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize("compressed", [False, True])
def test_compressed_or_not_the_voxels_are_the_same(tmp_path, suffix, compressed):
    path = write(tmp_path / f"a{suffix}", LARGE, RAS.affine(), compressed)
    np.testing.assert_array_equal(np.asarray(load_image(path).dataobj), LARGE)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_components_and_a_fourth_axis_are_channels(tmp_path, suffix):
    channels = np.random.default_rng(0).random((4, 5, 6, 2)).astype(np.float32)  # (k, j, i, channel)
    vectors = SimpleITK.GetImageFromArray(channels, isVector=True)
    SimpleITK.WriteImage(vectors, str(tmp_path / f"vectors{suffix}"))
    SimpleITK.WriteImage(
        SimpleITK.JoinSeries([SimpleITK.VectorIndexSelectionCast(vectors, index) for index in range(2)]),
        str(tmp_path / f"series{suffix}"),
    )
    vectors, series = (read_image((tmp_path / f"{name}{suffix}",)) for name in ("vectors", "series"))
    np.testing.assert_array_equal(series.array, vectors.array)
    np.testing.assert_array_equal(np.sort(vectors.array.ravel()), np.sort(channels.ravel()))
    write_label(tmp_path / f"label{suffix}", np.ones((4, 5, 6), np.uint8), series.source)
    assert read_label(tmp_path / f"label{suffix}", series).shape == (4, 5, 6)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_a_plane_is_a_single_slice_and_its_label_a_plane(tmp_path, suffix):
    plane = SimpleITK.GetImageFromArray(np.arange(12, dtype=np.int16).reshape(3, 4))
    plane.SetSpacing([0.5, 0.7])
    SimpleITK.WriteImage(plane, str(tmp_path / f"a{suffix}"))
    volume = read_image((tmp_path / f"a{suffix}",))
    assert volume.array.shape == (1, 3, 4, 1)
    write_label(tmp_path / f"label{suffix}", np.ones((1, 3, 4), np.uint8), volume.source)
    written = SimpleITK.ReadImage(str(tmp_path / f"label{suffix}"))
    assert (written.GetSize(), written.GetSpacing()) == ((4, 3), (0.5, 0.7))


def test_nan_is_told_and_not_made_0(tmp_path):
    voxels = anatomy(dtype=np.float32)
    voxels[1, 2, 3] = np.nan
    for suffix in SUFFIXES:
        with refused(write(tmp_path / f"a{suffix}", voxels, RAS.affine()), "NaN"):
            read_image((tmp_path / f"a{suffix}",))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_header_is_read_without_the_voxels(tmp_path, suffix):
    path = write(tmp_path / f"a{suffix}", LARGE, OBLIQUE[0].affine())
    header = read_header(path)
    assert header.get_data_shape() == LARGE.shape
    assert header.get_data_dtype() == np.int16
    assert same_grid(header.get_best_affine(), load_image(path).affine)


# Damage


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("lost", [1, 20, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path, suffix, compressed, lost, capfd):
    path = write(tmp_path / f"a{suffix}", LARGE, RAS.affine(), compressed)
    content = path.read_bytes()
    if suffix in (".mgz", ".mgh"):  # behind the voxels there are words that nobody needs
        plain = (gzip.decompress(content) if suffix == ".mgz" else content)[: 284 + LARGE.nbytes]
        content = gzip.compress(plain) if suffix == ".mgz" else plain
    path.write_bytes(content[: -lost if lost >= 1 else int(len(content) * (1 - lost))])
    with refused(path):
        read_image((path,))
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".mgz"])
def test_a_flipped_byte_in_compressed_voxels_is_refused(tmp_path, suffix):
    path = write(tmp_path / f"a{suffix}", LARGE, RAS.affine(), compressed=True)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with refused(path, "damaged"):
        read_image((path,))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"nothing of the kind\n\n" * 99, b"NRRD0004\ntype: int\n\n", b"\0" * 999])
def test_another_content_is_refused(tmp_path, suffix, content):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with refused(path):
        load_image(path)
    assert read_header(path) is None


def test_mgz_and_mgh_that_changed_names_are_refused(tmp_path):
    write(tmp_path / "a.mgz", LARGE, RAS.affine()).rename(tmp_path / "a.mgh")
    with refused(tmp_path / "a.mgh", "the content is gzip; rename it to a.mgz"):
        load_image(tmp_path / "a.mgh")


@pytest.mark.parametrize(
    ("suffix", "old", "new", "problem"),
    [
        (".nrrd", b"encoding: raw", b"encoding: bzip2", "damaged"),
        (".nrrd", b"encoding: raw", b"encoding: zrl", "its encoding is zrl"),
        (".nrrd", b"encoding: raw", b"encoding: raw\ndata file: a.raw", "a.raw"),
        (".nrrd", b"sizes: 20 21 22", b"sizes: 20 21 23", "truncated"),
        (".nrrd", b"sizes: 20 21 22", b"sizes: 99999 99999 99999", "voxels"),
        (".mha", b"ElementDataFile = LOCAL", b"ElementDataFile = a.raw", "a.raw"),
        (".mha", b"BinaryData = True", b"BinaryData = False", "text"),
        (".mha", b"DimSize = 20 21 22", b"DimSize = 20 21 23", "truncated"),
        (".mha", b"DimSize = 20 21 22", b"DimSize = 20 -21 22", "not a valid|NDims|memory|no voxels"),
        (".mha", b"ElementSpacing = 0.5", b"ElementSpacing = 0", "singular|not a valid"),
        (".mha", b"TransformMatrix = -1 0 0", b"TransformMatrix = 0 0 0", "singular|not a valid"),
    ],
)
def test_a_header_of_what_is_not_there_is_refused(tmp_path, suffix, old, new, problem):
    path = write(tmp_path / f"a{suffix}", LARGE, RAS.affine())
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    with refused(path, problem):
        read_image((path,))


@pytest.mark.parametrize("code", [2, 5, 6, 99])
def test_mgh_of_another_type_is_told_as_it_is(tmp_path, code):
    path = write(tmp_path / "a.mgh", LARGE, RAS.affine())
    content = bytearray(path.read_bytes())
    content[20:24] = code.to_bytes(4, "big")
    path.write_bytes(content)
    with refused(path, f"type {code}"):
        load_image(path)


@pytest.mark.parametrize("suffix", [".mgh", ".mgz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("frames", [1, 3])
def test_every_type_of_mgh_comes_back_as_it_was_saved(tmp_path, suffix, dtype, frames):
    voxels = np.random.default_rng(0).integers(0, 250, (4, 5, 6, frames)).astype(dtype)
    path = write(tmp_path / f"a{suffix}", np.squeeze(voxels, 3) if frames == 1 else voxels, RAS.affine())
    found = np.asarray(load_image(path).dataobj)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.reshape(voxels.shape), voxels)


def test_a_label_with_fractions_is_refused(tmp_path):
    for suffix in SUFFIXES:
        with refused(write(tmp_path / f"a{suffix}", anatomy(dtype=np.float32) / 2, RAS.affine()), "fractional"):
            load_label(tmp_path / f"a{suffix}")


@pytest.mark.parametrize(
    ("suffix", "old", "new", "warned"),
    [
        (".mha", b"ElementDataFile", b"DistanceUnits = um\nElementDataFile", True),
        (".mha", b"ElementDataFile", b"DistanceUnits = mm\nElementDataFile", False),
        (".nrrd", b"kinds:", b'space units: "mm" "mm" "m"\nkinds:', True),
        (".nrrd", b"kinds:", b'space units: "mm" "mm" "mm"\nkinds:', False),
    ],
)
def test_another_unit_than_millimetres_is_warned_of(tmp_path, suffix, old, new, warned):
    path = write(tmp_path / f"a{suffix}", LARGE, RAS.affine())
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    assert (Row.UNIT in {finding.row for finding in read_image((path,)).findings}) == warned
