"""NRRD and MHA, through SimpleITK. Whether a file is complete is seen before: ITK does not look at checksums."""

import re
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from nibabel.nifti1 import Nifti1Image
from nibabel.nifti2 import Nifti2Image

from data_preprocessing.checks.file_format import CONVERT_AGAIN, COPY_AGAIN, check_length
from data_preprocessing.checks.finding import Row, refuse, unusable
from data_preprocessing.formats.stored import (
    LPS_TO_RAS,
    Stored,
    check_memory,
    library_reason,
    no_voxels,
    one_number_a_voxel,
)

HEADER_BYTES = 2**20  # more than any header takes
BLOCK = 2**16  # of compressed data at once: at most 64 MiB when it is decompressed
ANY_ZLIB = 47  # zlib's number for gzip or zlib, as the data begins
MHA_END = re.compile(rb"^[ \t]*ElementDataFile[ \t]*=[ \t]*([^\r\n]*?)[ \t]*\r?\n", re.MULTILINE)
MHA_NEEDED = {"ndims", "dimsize", "elementtype"}
NRRD_END = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True)
class Geometry:
    """Size of a voxel, place of the first one and direction of the axes, as ITK has them: mm, LPS+."""

    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]

    def affine(self) -> np.ndarray:
        """Returns the affine (4, 4), RAS+, of the first three axes; a plane lies at z = 0."""
        axes = len(self.spacing)
        used = min(axes, 3)
        affine = np.eye(4)
        affine[:used, :used] = np.reshape(self.direction, (axes, axes))[:used, :used] * np.array(self.spacing[:used])
        affine[:used, 3] = self.origin[:used]
        return LPS_TO_RAS @ affine

    def of_space(self) -> "Geometry":
        """Returns it without axes past the third."""
        axes = len(self.spacing)
        used = min(axes, 3)
        direction = np.reshape(self.direction, (axes, axes))[:used, :used]
        return Geometry(self.spacing[:used], self.origin[:used], tuple(direction.ravel().tolist()))


def read(path: Path, as_label: bool) -> Stored:
    """Returns the voxels, components or the fourth axis as channels; raises Unusable for a damaged file."""
    import SimpleITK

    offset, compressed = _data(path)
    seen, axes = _look(path)
    size = seen.voxels.size * seen.voxels.dtype.itemsize
    check_memory(path, size)
    refuse(path, *check_length(_length(path, offset, compressed), size))
    try:
        array = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    except RuntimeError as error:
        raise _invalid(path, library_reason(error)) from None
    voxels = array.transpose(*reversed(range(axes)), *range(axes, array.ndim)).reshape(seen.voxels.shape, order="A")
    return Stored(one_number_a_voxel(path, voxels), seen.affine, seen.geometry)


def look(path: Path) -> Stored:
    """Returns shape, type and grid by the header; raises as `read` does."""
    _data(path)
    return _look(path)[0]


def write(path: Path, image: Nifti1Image | Nifti2Image) -> None:
    """Writes label numbers on the grid of the scan, its spacing, origin and directions digit by digit."""
    import SimpleITK

    geometry = image.extra["geometry"].of_space()
    array = np.asarray(image.dataobj).T
    written = SimpleITK.GetImageFromArray(np.ascontiguousarray(array if len(geometry.spacing) == 3 else array[0]))
    written.SetSpacing(geometry.spacing)
    written.SetOrigin(geometry.origin)
    written.SetDirection(geometry.direction)
    try:
        SimpleITK.WriteImage(written, str(path), useCompression=True)
    except RuntimeError as error:
        raise OSError(None, library_reason(error)) from None


def _look(path: Path) -> tuple[Stored, int]:
    """What the header tells, and how many axes there are."""
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("NrrdImageIO" if path.suffix.lower() == ".nrrd" else "MetaImageIO")
    try:
        reader.ReadImageInformation()
        size, components = reader.GetSize(), reader.GetNumberOfComponents()
        geometry = Geometry(reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection())
        one = SimpleITK.Image([1] * len(size), reader.GetPixelID(), components)
    except (RuntimeError, NotImplementedError, TypeError) as error:
        raise _invalid(path, library_reason(error)) from None
    shape = (*size, *(1,) * (3 - len(size)), *((components,) if components > 1 else ()))
    seen = Stored(no_voxels(shape, SimpleITK.GetArrayFromImage(one).dtype), geometry.affine(), geometry)
    return seen, len(size)


def _fields(header: bytes, separator: str) -> dict[str, str]:
    lines = (line.partition(separator) for line in header.decode("latin-1").splitlines())
    return {name.strip().lower(): value.strip().lower() for name, found, value in lines if found}


def _data(path: Path) -> tuple[int, bool]:
    """Where the voxels begin in the file, and whether they are compressed."""
    with open(path, "rb") as stream:
        start = stream.read(HEADER_BYTES)
    is_nrrd = path.suffix.lower() == ".nrrd"
    if not (start.startswith(b"NRRD") if is_nrrd else b"NDims" in start):
        raise _invalid(path, "another header")
    return (_nrrd_data if is_nrrd else _mha_data)(path, start)


def _mha_data(path: Path, start: bytes) -> tuple[int, bool]:
    end = MHA_END.search(start)
    if end is None:
        raise _invalid(path, "its header has no end")
    if end[1].upper() != b"LOCAL":
        raise unusable(path, Row.UNREADABLE, "its voxels are in another file", "save both as one .mha file")
    fields = _fields(start[: end.start()], "=")
    if not fields.keys() >= MHA_NEEDED:  # of which ITK complains in four lines
        raise _invalid(path, f"its header lacks {', '.join(sorted(MHA_NEEDED - fields.keys()))}")
    if fields.get("binarydata", "true") != "true":
        raise unusable(path, Row.UNREADABLE, "its voxels are written as text", "save them in binary")
    return end.end(), fields.get("compresseddata") == "true"


def _nrrd_data(path: Path, start: bytes) -> tuple[int, bool]:
    end = NRRD_END.search(start)
    if end is None:
        raise _invalid(path, "its header has no end")
    fields = _fields(start[: end.start()], ":")
    if not fields.keys().isdisjoint({"data file", "datafile", "line skip", "byte skip", "lineskip", "byteskip"}):
        raise unusable(path, Row.UNREADABLE, "its voxels do not follow its header", "save both as one .nrrd file")
    encoding = fields.get("encoding", "")
    if encoding not in ("raw", "gzip", "gz"):
        raise unusable(path, Row.UNREADABLE, f"its encoding is {encoding}", "save it as raw or gzip")
    return end.end(), encoding != "raw"


def _length(path: Path, offset: int, compressed: bool) -> int:
    """Bytes of voxels that are there, once decompressed; the checksum is compared on the way."""
    if not compressed:
        return path.stat().st_size - offset
    stream, length = zlib.decompressobj(wbits=ANY_ZLIB), 0
    with open(path, "rb") as file:
        file.seek(offset)
        try:
            for block in iter(partial(file.read, BLOCK), b""):
                length += len(stream.decompress(block))
        except zlib.error as error:
            raise unusable(path, Row.GZIP_DAMAGED, f"truncated or damaged ({error})", COPY_AGAIN) from None
    if not stream.eof:
        problem = "truncated or damaged (compressed data without an end)"
        raise unusable(path, Row.GZIP_TRUNCATED, problem, COPY_AGAIN)
    return length


def _invalid(path: Path, reason: str) -> Exception:
    kind = "NRRD" if path.suffix.lower() == ".nrrd" else "MetaImage"
    return unusable(path, Row.UNREADABLE, f"not a valid {kind} file ({reason})", CONVERT_AGAIN)
