"""Small valid images of every format."""

import bz2
import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import tifffile
from PIL import Image
from pydicom import uid

from tests.data_preprocessing.images.formats.dicom_samples import write_slice

VOXELS = np.random.default_rng(0).integers(0, 9, (4, 5, 6)).astype(np.int16)  # (z, y, x)
AFFINE = np.diag([1.0, 1.5, 2.0, 1.0])
META = (
    "ObjectType = Image\nNDims = 3\nBinaryData = {}\nBinaryDataByteOrderMSB = False\nCompressedData = {}\n"
    "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nElementSpacing = 1 1.5 2\nDimSize = 6 5 4\n"
    "ElementType = MET_SHORT\nElementDataFile = LOCAL\n"
)
NRRD = (
    "NRRD0005\ntype: short\ndimension: 3\nspace: LPS\nsizes: 6 5 4\nspace directions: (1,0,0) (0,1.5,0) (0,0,2)\n"
    "kinds: domain domain domain\nendian: little\nencoding: {}\nspace origin: (0,0,0)\n\n"
)
TEXT = " ".join(map(str, VOXELS.ravel())).encode()
GREY = {"photometric": "minisblack"}


def nifti(kind: type = nib.Nifti1Image, sform: int = 1, qform: int = 1) -> bytes:
    """Returns a NIfTI file."""
    image = kind(VOXELS.T, AFFINE)
    image.set_sform(AFFINE if sform else None, sform)
    image.set_qform(AFFINE if qform else None, qform)
    return image.to_bytes()


def _page() -> np.ndarray:
    return VOXELS[0].astype(np.uint8)


WRITERS: dict[str, Callable[[Path], object]] = {
    "a.nii": lambda path: path.write_bytes(nifti()),
    "qform.nii": lambda path: path.write_bytes(nifti(sform=0)),
    "two.nii": lambda path: path.write_bytes(nifti(nib.Nifti2Image)),
    "a.nii.gz": lambda path: path.write_bytes(gzip.compress(nifti(), 1)),
    "a.mgh": lambda path: nib.save(nib.MGHImage(VOXELS.T, AFFINE), path),
    "a.mgz": lambda path: nib.save(nib.MGHImage(VOXELS.T, AFFINE), path),
    "raw.mha": lambda path: path.write_bytes(META.format(True, False).encode() + VOXELS.tobytes()),
    "zlib.mha": lambda path: path.write_bytes(META.format(True, True).encode() + zlib.compress(VOXELS.tobytes())),
    "text.mha": lambda path: path.write_bytes(META.format(False, False).encode() + TEXT),
    "raw.nrrd": lambda path: path.write_bytes(NRRD.format("raw").encode() + VOXELS.tobytes()),
    "gzip.nrrd": lambda path: path.write_bytes(NRRD.format("gzip").encode() + gzip.compress(VOXELS.tobytes())),
    "bzip2.nrrd": lambda path: path.write_bytes(NRRD.format("bz2").encode() + bz2.compress(VOXELS.tobytes())),
    "text.nrrd": lambda path: path.write_bytes(NRRD.format("text").encode() + TEXT),
    "hex.nrrd": lambda path: path.write_bytes(NRRD.format("hex").encode() + VOXELS.tobytes().hex().encode()),
    "a.png": lambda path: Image.fromarray(_page()).save(path),
    "deep.png": lambda path: Image.fromarray(VOXELS[0].astype(np.uint16)).save(path),
    "palette.png": lambda path: Image.fromarray(_page()).convert("P").save(path),
    "a.bmp": lambda path: Image.fromarray(_page()).save(path),
    "a.jpg": lambda path: Image.fromarray(_page()).save(path),
    "lzw.tif": lambda path: tifffile.imwrite(path, VOXELS, compression="lzw", **GREY),
    "deflate.tif": lambda path: tifffile.imwrite(path, VOXELS, compression="zlib", **GREY),
    "imagej.tif": lambda path: tifffile.imwrite(path, VOXELS, imagej=True, metadata={"axes": "ZYX"}, **GREY),
    "ome.tif": lambda path: tifffile.imwrite(path, VOXELS, ome=True, bigtiff=True, metadata={"axes": "ZYX"}, **GREY),
    "plain.dcm": lambda path: write_slice(path, VOXELS[0]),
    "deflated.dcm": lambda path: write_slice(path, VOXELS[0], syntax=uid.DeflatedExplicitVRLittleEndian),
    "rle.dcm": lambda path: write_slice(path, VOXELS[0].astype(np.uint16), syntax=uid.RLELossless),
    "jpegls.dcm": lambda path: write_slice(path, VOXELS[0].astype(np.uint16), syntax=uid.JPEGLSLossless),
}
TEXTS = (".mha", ".nrrd")  # whose headers are
