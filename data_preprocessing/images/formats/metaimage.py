"""MetaImage: .mha in one file, .mhd with its voxels in others. Read and written here, as ITK does not see damage.

The header is parsed without the process's locale. Source: https://itk.org/Wiki/MetaIO/Documentation; what that leaves
open is as ITK reads it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data_preprocessing.images.checks.file_format import CONVERT_AGAIN
from data_preprocessing.images.checks.finding import Row, unusable
from data_preprocessing.images.formats.raw_voxels import DataFile, Encoding, compress, read_voxels
from data_preprocessing.images.formats.stored import LPS_TO_RAS, Stored, check_units, no_voxels, one_number_a_voxel
from data_preprocessing.images.nifti_file import NiftiImage

HEADER_BYTES = 2**20  # more than any header takes
END = re.compile(rb"^[ \t]*ElementDataFile[ \t]*[=:][ \t]*([^\r\n]*?)[ \t]*(\r?\n|\Z)", re.MULTILINE | re.IGNORECASE)
NEEDED = ("ndims", "dimsize", "elementtype")
MOST_AXES = 4
SCALING = {"elementtointensityfunctionslope": 1, "elementtointensityfunctionoffset": 0}  # and what changes nothing
TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "long": "i4", "ulong": "u4",
    "long_long": "i8", "ulong_long": "u8", "float": "f4", "double": "f8",
}  # fmt: skip
TYPE_OF = {np.dtype(np.uint8): "MET_UCHAR", np.dtype(np.uint16): "MET_USHORT"}


@dataclass(frozen=True)
class Geometry:
    """Size of a voxel, place of the first one and, as columns, the directions of the axes: mm, LPS+."""

    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: np.ndarray

    def affine(self) -> np.ndarray:
        """Returns the affine (4, 4), RAS+, of the first three axes; a plane lies at z = 0."""
        used = min(len(self.spacing), 3)
        affine = np.eye(4)
        affine[:used, :used] = self.direction[:used, :used] * np.array(self.spacing[:used])
        affine[:used, 3] = self.origin[:used]
        return LPS_TO_RAS @ affine


@dataclass(frozen=True)
class Header:
    """The fields by their names in small letters, and how many bytes they take, up to the voxels where they follow."""

    fields: dict[str, str]
    data_file: str
    listed: tuple[str, ...]
    length: int


def read(path: Path, as_label: bool) -> Stored:
    """Returns the voxels, components or the fourth axis as channels; raises Unusable for a damaged file."""
    header = _header(path)
    seen, shape, dtype = _describe(path, header)
    voxels = read_voxels(path, _data_files(path, header), shape, dtype)
    if len(shape) > int(header.fields["ndims"]):
        voxels = np.moveaxis(voxels, 0, -1)
    voxels = one_number_a_voxel(path, voxels.reshape(seen.voxels.shape, order="A"))
    return replace(seen, voxels=voxels, findings=check_units(header.fields.get("distanceunits", "mm")))


def look(path: Path) -> Stored:
    """Returns shape, type and grid by the header; raises as `read` does."""
    return _describe(path, _header(path))[0]


def data_files(path: Path) -> list[Path]:
    """Returns the files besides `path` that hold voxels of it; raises Unusable for a header that cannot be read."""
    return [file.path for file in _data_files(path, _header(path)) if file.path != path]


def write(path: Path, image: NiftiImage) -> None:
    """Writes label numbers on the grid of the scan, its spacing, origin and directions digit by digit."""
    geometry: Geometry = image.extra["geometry"]
    axes = min(len(geometry.spacing), 3)
    voxels = np.asarray(image.dataobj)
    voxels = voxels.reshape(voxels.shape[:axes])
    content = compress(voxels, gzip=False)
    lines = {
        "ObjectType": "Image",
        "NDims": axes,
        "BinaryData": True,
        "BinaryDataByteOrderMSB": False,
        "CompressedData": True,
        "CompressedDataSize": len(content),  # ITK needs it
        "TransformMatrix": _numbers(geometry.direction[:axes, :axes].T.ravel()),
        "Offset": _numbers(geometry.origin[:axes]),
        "CenterOfRotation": _numbers([0] * axes),
        "ElementSpacing": _numbers(geometry.spacing[:axes]),
        "DimSize": " ".join(map(str, voxels.shape)),
        "ElementType": TYPE_OF[voxels.dtype],
        "ElementDataFile": "LOCAL",
    }
    with open(path, "wb") as stream:
        stream.write("".join(f"{name} = {value}\n" for name, value in lines.items()).encode("ascii"))
        stream.write(content)


def _numbers(values: Iterable[float]) -> str:
    return " ".join(repr(float(value)) for value in values)


def _header(path: Path) -> Header:
    with open(path, "rb") as stream:
        start = stream.read(HEADER_BYTES)
    end = END.search(start)
    if b"NDims" not in start or end is None:
        raise _invalid(path, "another header" if end else "its header has no end")
    pairs = (re.split("[=:]", line, maxsplit=1) for line in start[: end.start()].decode("latin-1").splitlines())
    fields = {pair[0].strip().lower(): pair[1].strip() for pair in pairs if len(pair) == 2}
    missing = [name for name in NEEDED if name not in fields]
    if missing:
        raise _invalid(path, f"its header lacks {', '.join(missing)}")
    listed = tuple(line.strip() for line in start[end.end() :].decode("utf-8", "replace").splitlines() if line.strip())
    return Header(fields, end[1].decode("utf-8", "replace"), listed, end.end())


def _describe(path: Path, header: Header) -> tuple[Stored, tuple[int, ...], np.dtype]:
    """What the header tells, and shape and type of the voxels in the file, the components of a voxel first."""
    fields = header.fields
    if fields.get("objecttype", "image").lower() != "image":
        raise unusable(path, Row.UNREADABLE, f"it holds a {fields['objecttype']}", "give an image")
    try:
        if any(float(fields.get(name, neutral)) != neutral for name, neutral in SCALING.items()):
            problem = "a slope or intercept in its header, which ITK passes over"
            raise unusable(path, Row.UNREADABLE, problem, "apply it, and save the result without")
        axes = int(fields["ndims"])
        size = tuple(int(word) for word in fields["dimsize"].split())
        components = int(fields.get("elementnumberofchannels", 1))
        geometry = Geometry(
            _floats(fields, ("elementspacing", "elementsize"), axes, [1.0] * axes),
            _floats(fields, ("offset", "position", "origin"), axes, [0.0] * axes),
            np.reshape(
                _floats(fields, ("transformmatrix", "rotation", "orientation"), axes**2, np.eye(axes).ravel()),
                (axes, axes),
            ).T,
        )
    except (ValueError, OverflowError) as error:
        raise _invalid(path, str(error)) from None
    if not 2 <= axes <= MOST_AXES or len(size) != axes or min(size) < 1 or components < 1:
        raise _invalid(path, f"NDims {axes}, DimSize {fields['dimsize']}, {components} components")
    if axes == MOST_AXES and components > 1:
        raise unusable(path, Row.TOO_MANY_AXES, "four axes and components", "give one of them as channels")
    shape = (*size, *(1,) * (3 - axes), *((components,) if components > 1 else ()))
    dtype = _type(path, fields)
    stored_shape = (components, *size) if components > 1 else size
    return Stored(no_voxels(shape, dtype.newbyteorder("=")), geometry.affine(), geometry), stored_shape, dtype


def _floats(fields: dict[str, str], names: tuple[str, ...], count: int, default: Iterable[float]) -> tuple[float, ...]:
    """The numbers of the first of `names` that is stated."""
    for name in names:
        if name in fields:
            values = tuple(float(word) for word in fields[name].split())
            if len(values) < count:
                raise ValueError(f"{len(values)} numbers for {name}, {count} needed")
            return values[:count]
    return tuple(float(value) for value in default)


def _type(path: Path, fields: dict[str, str]) -> np.dtype:
    """The type of a number in the file, in its byte order."""
    stated = fields["elementtype"].lower().removeprefix("met_").removesuffix("_array")
    if stated not in TYPES:
        raise unusable(path, Row.VOXEL_TYPE, f"{fields['elementtype']} voxels", "convert it to one number a voxel")
    order = fields.get("binarydatabyteordermsb", fields.get("elementbyteordermsb", "false"))
    return np.dtype((">" if _is_true(order) else "<") + TYPES[stated])


def _data_files(path: Path, header: Header) -> list[DataFile]:
    """Where the voxels are."""
    fields = header.fields
    compressed = _is_true(fields.get("compresseddata", "false"))
    encoding: Encoding = "zlib" if compressed else "raw" if _is_true(fields.get("binarydata", "true")) else "text"
    try:
        offset = int(fields.get("headersize", 0))
        kind, *rest = header.data_file.split() or [""]
        if offset < -1 or (offset == -1 and compressed):
            raise ValueError(f"HeaderSize {offset}")
        if kind.upper() == "LOCAL":
            start = max(offset, header.length)
            return [DataFile(path, encoding, start, offset=min(offset, 0))]
        names = [header.data_file]
        if kind.upper() == "LIST":
            names = list(header.listed)
        elif "%" in kind and len(rest) in (2, 3):
            first, last, step = (*map(int, rest), 1)[:3]
            names = [kind % number for number in range(first, last + 1, step)]
    except (ValueError, TypeError) as error:
        raise _invalid(path, str(error)) from None
    if not names or names == [""]:
        raise _invalid(path, "its header names no file of voxels")
    return [DataFile(path.parent / name, encoding, offset=offset) for name in names]


def _is_true(value: str) -> bool:
    return value[:1].lower() in ("t", "y", "1")


def _invalid(path: Path, reason: str) -> Exception:
    return unusable(path, Row.UNREADABLE, f"not a valid MetaImage file ({reason})", CONVERT_AGAIN)
