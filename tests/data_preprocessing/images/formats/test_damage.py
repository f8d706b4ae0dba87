"""Whatever bytes a file holds: it is read, or refused in one line that names it; never another exception."""

import zlib

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from data_preprocessing.common.errors import UserError
from data_preprocessing.images.image_file import load_image, read_header

VOXELS = np.random.default_rng(0).integers(0, 60_000, (4, 20, 30), np.uint16)
META = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nCompressedData = {}\nElementSpacing = 1 1 1\n"
    "DimSize = 30 20 4\nElementType = MET_USHORT\nElementDataFile = LOCAL\n"
)
NRRD = (
    "NRRD0005\ntype: ushort\ndimension: 3\nspace: LPS\nsizes: 30 20 4\nspace directions: (1,0,0) (0,1,0) (0,0,1)\n"
    "kinds: domain domain domain\nendian: little\nencoding: raw\nspace origin: (0,0,0)\n\n"
)
GREY = {"photometric": "minisblack"}
WRITERS = {
    "lzw.tif": lambda path: tifffile.imwrite(path, VOXELS, compression="lzw", **GREY),
    "imagej.tif": lambda path: tifffile.imwrite(path, VOXELS, imagej=True, metadata={"axes": "ZYX"}, **GREY),
    "ome.tif": lambda path: tifffile.imwrite(path, VOXELS, ome=True, bigtiff=True, metadata={"axes": "ZYX"}, **GREY),
    "palette.tif": lambda path: tifffile.imwrite(
        path,
        VOXELS[0].astype(np.uint8),
        photometric="palette",
        colormap=np.arange(768, dtype=np.uint16).reshape(3, 256),
    ),
    "grey.png": lambda path: Image.fromarray(VOXELS[0]).save(path),
    "palette.png": lambda path: Image.fromarray(VOXELS[0].astype(np.uint8)).convert("P").save(path),
    "grey.bmp": lambda path: Image.fromarray(VOXELS[0].astype(np.uint8)).save(path),
    "grey.jpg": lambda path: Image.fromarray(VOXELS[0].astype(np.uint8)).save(path),
    "a.mgh": lambda path: nib.save(nib.MGHImage(VOXELS.astype(np.int16), np.eye(4)), path),
    "compressed.mha": lambda path: path.write_bytes(META.format(True).encode() + zlib.compress(VOXELS.tobytes())),
    "plain.mha": lambda path: path.write_bytes(META.format(False).encode() + VOXELS.tobytes()),
    "plain.nrrd": lambda path: path.write_bytes(NRRD.encode() + VOXELS.tobytes()),
}
ODD_BYTES = [0, 255, *b" 9-\n"]


@pytest.mark.parametrize("name", WRITERS)
def test_a_damaged_file_is_read_or_refused(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path)
    content = path.read_bytes()
    random = np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(content)
        for place in random.integers(0, min(len(content), 600), random.integers(1, 4)):
            place = len(content) - 1 - place if name.endswith(".tif") and random.random() < 0.5 else place
            damaged[place] = random.choice([*ODD_BYTES, damaged[place] ^ 1, damaged[place] ^ 128])
        path.write_bytes(damaged[: random.integers(len(damaged))] if random.random() < 0.2 else damaged)
        read_header(path)
        try:
            load_image(path, as_label=random.random() < 0.3)
        except UserError as error:
            assert str(path) in str(error)
            assert len(str(error).splitlines()) == 1
