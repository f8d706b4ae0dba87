"""A file never takes more memory, or time, than its header says; a header over the limits is refused first."""

import gzip
import struct
import time
import tracemalloc
import zlib
from contextlib import suppress

import nibabel as nib
import numpy as np
import pytest

from data_preprocessing.common.defaults import MAX_VOXELS_VARIABLE
from data_preprocessing.images.checks.finding import Row, Unusable
from data_preprocessing.images.image_file import load_image
from tests.data_preprocessing.images.formats.dicom_samples import write_slice
from tests.data_preprocessing.samples import anatomy, save

MIB = 2**20
ZEROS = bytes(64 * MIB)


def peak_of(read) -> int:
    tracemalloc.start()
    try:
        read()
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def read_if_usable(path) -> None:
    with suppress(Unusable):
        load_image(path)


def test_what_follows_the_voxels_is_not_kept(tmp_path):
    content = save(tmp_path / "case.nii", anatomy()).read_bytes()
    path = tmp_path / "case.nii.gz"
    path.write_bytes(gzip.compress(content + ZEROS, 1))
    assert peak_of(lambda: load_image(path)) < len(content) * 4 + 4 * MIB
    assert np.array_equal(np.asarray(load_image(path).dataobj), anatomy())


def test_what_follows_the_voxels_is_still_checked(tmp_path):
    content = save(tmp_path / "case.nii", anatomy()).read_bytes()
    packed = bytearray(gzip.compress(content + bytes(2 * MIB), 1))
    packed[-6] ^= 1  # the checksum
    path = tmp_path / "case.nii.gz"
    path.write_bytes(packed)
    with pytest.raises(Unusable) as caught:
        load_image(path)
    assert caught.value.finding.row == Row.GZIP_DAMAGED


def test_mgz_is_not_inflated_past_its_header(tmp_path):
    nib.save(nib.MGHImage(anatomy().astype(np.int16), np.eye(4)), tmp_path / "a.mgh")
    content = (tmp_path / "a.mgh").read_bytes()
    (tmp_path / "a.mgz").write_bytes(gzip.compress(content + ZEROS, 1))
    assert peak_of(lambda: load_image(tmp_path / "a.mgz")) < len(content) * 4 + 4 * MIB


def test_a_header_that_its_file_cannot_fill_is_refused_first(tmp_path):
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((1000, 1000, 1000))
    header["vox_offset"], header["magic"] = 352, b"n+1"
    path = tmp_path / "case.nii.gz"
    path.write_bytes(gzip.compress(header.binaryblock + bytes(MIB)))
    with pytest.raises(Unusable) as caught:
        load_image(path)
    assert caught.value.finding.row == Row.SHORTER_THAN_ITS_HEADER_SAYS


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_more_voxels_than_the_limit_are_refused(tmp_path, monkeypatch, suffix):
    path = save(tmp_path / f"case{suffix}", anatomy())
    monkeypatch.setenv(MAX_VOXELS_VARIABLE, str(anatomy().size))
    load_image(path)
    monkeypatch.setenv(MAX_VOXELS_VARIABLE, str(anatomy().size - 1))
    with pytest.raises(Unusable, match="--max-voxels") as caught:
        load_image(path)
    assert caught.value.finding.row == Row.MEMORY


def test_a_png_that_says_to_be_huge_is_refused(tmp_path):
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b""))
    assert peak_of(lambda: read_if_usable(path)) < 4 * MIB
    with pytest.raises(Unusable) as caught:
        load_image(path)
    assert caught.value.finding.row == Row.SHORTER_THAN_ITS_HEADER_SAYS


def test_many_gzip_members_are_read_in_linear_time(tmp_path):
    voxels = np.random.default_rng(0).integers(0, 255, (256, 256, 200)).astype(np.uint8)
    content = save(tmp_path / "case.nii", voxels).read_bytes()
    path = tmp_path / "case.nii.gz"
    path.write_bytes(b"".join(gzip.compress(content[at : at + 65280], 0) for at in range(0, len(content), 65280)))
    start = time.monotonic()
    assert np.array_equal(np.asarray(load_image(path).dataobj), voxels)
    assert time.monotonic() - start < 2


def test_an_element_of_dicom_longer_than_its_file_takes_no_memory(tmp_path):
    path = write_slice(tmp_path / "series" / "a.dcm", np.zeros((8, 8), np.uint16))
    path.write_bytes(path.read_bytes() + struct.pack("<HH2sHI", 0x7FE1, 0x10, b"OB", 0, 3_500_000_000) + b"30")
    assert peak_of(lambda: read_if_usable(path.parent)) < 16 * MIB


def test_a_deflated_dicom_that_is_a_bomb_is_refused(tmp_path):
    path = write_slice(tmp_path / "series" / "a.dcm", np.zeros((8, 8), np.uint16), syntax="1.2.840.10008.1.2.1.99")
    content = path.read_bytes()
    start = content.index(b"1.2.840.10008.1.2.1.99")
    for begin in range(start, len(content)):
        try:
            plain = zlib.decompress(content[begin:], -15)
        except zlib.error:
            continue
        if len(plain) > 300:
            break
    packer = zlib.compressobj(9, wbits=-15)
    element = struct.pack("<HH2sHI", 0x7FE1, 0x10, b"OB", 0, len(ZEROS) * 2)
    path.write_bytes(content[:begin] + packer.compress(plain + element + ZEROS + ZEROS) + packer.flush())
    with pytest.raises(Unusable) as caught:
        load_image(path.parent)
    assert caught.value.finding.row == Row.MEMORY
