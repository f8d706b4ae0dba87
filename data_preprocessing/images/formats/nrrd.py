"""NRRD: .nrrd in one file, .nhdr with its voxels in others. Read and written here, without the process's locale.

Source: https://teem.sourceforge.net/nrrd/format.html; what that leaves open is as ITK reads it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data_preprocessing.images.checks.file_format import CONVERT_AGAIN
from data_preprocessing.images.checks.finding import Row, unusable
from data_preprocessing.images.formats.nrrd_geometry import Geometry, channel_axis, geometry_of
from data_preprocessing.images.formats.raw_voxels import DataFile, Encoding, compress, read_voxels
from data_preprocessing.images.formats.stored import Stored, check_units, no_voxels, one_number_a_voxel
from data_preprocessing.images.nifti_file import NiftiImage

HEADER_BYTES = 2**20  # more than any header takes
MAGIC = b"NRRD"
NEEDED = ("dimension", "sizes", "type", "encoding")
ENCODINGS: dict[str, Encoding] = {
    "raw": "raw", "gzip": "zlib", "gz": "zlib", "bzip2": "bzip2", "bz2": "bzip2", "text": "text", "txt": "text",
    "ascii": "text", "hex": "hex",
}  # fmt: skip
TYPES = {
    name: dtype
    for dtype, names in {
        "i1": ("signed char", "int8", "int8_t"),
        "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
        "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
        "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
        "i4": ("int", "signed int", "int32", "int32_t"),
        "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
        "i8": (
            "longlong",
            "long long",
            "long long int",
            "signed long long",
            "signed long long int",
            "int64",
            "int64_t",
        ),
        "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
        "f4": ("float",),
        "f8": ("double",),
    }.items()
    for name in names
}
BYTE_ORDERS = {"little": "<", "big": ">"}
SYNONYMS = {"datafile": "data file", "lineskip": "line skip", "byteskip": "byte skip", "centerings": "centers"}


@dataclass(frozen=True)
class Header:
    """The fields by their names in small letters, what stands in the lines after them, and how many bytes they take."""

    fields: dict[str, str]
    listed: tuple[str, ...]
    length: int


def read(path: Path, as_label: bool) -> Stored:
    """Returns the voxels, the axis that is none of space as channels; raises Unusable for a damaged file."""
    header = _header(path)
    seen, sizes, channel = _describe(path, header)
    dtype = _type(path, header.fields)
    voxels = read_voxels(path, _data_files(path, header), sizes, dtype)
    if channel is not None:
        voxels = np.moveaxis(voxels, channel, -1)
    voxels = one_number_a_voxel(path, voxels.reshape(seen.voxels.shape, order="A"))
    units = header.fields.get("space units", header.fields.get("units", ""))
    return replace(seen, voxels=voxels, findings=check_units(*re.findall(r'"([^"]*)"', units)))


def look(path: Path) -> Stored:
    """Returns shape, type and grid by the header; raises as `read` does."""
    return _describe(path, _header(path))[0]


def data_files(path: Path) -> list[Path]:
    """Returns the files besides `path` that hold voxels of it; raises Unusable for a header that cannot be read."""
    return [file.path for file in _data_files(path, _header(path)) if file.path != path]


def write(path: Path, image: NiftiImage) -> None:
    """Writes label numbers on the grid of the scan, its origin and the steps of its axes digit by digit."""
    geometry: Geometry = image.extra["geometry"]
    axes = len(geometry.steps)
    voxels = np.asarray(image.dataobj)
    voxels = voxels.reshape(voxels.shape[:axes])
    space = len(geometry.origin)
    lines = [
        "NRRD0004",
        f"type: {'uint8' if voxels.dtype == np.uint8 else 'uint16'}",
        f"dimension: {axes}",
        "space: left-posterior-superior" if space == 3 else f"space dimension: {space}",
        f"sizes: {' '.join(map(str, voxels.shape))}",
        f"space directions: {' '.join(map(_vector, geometry.steps))}",
        f"kinds:{' domain' * axes}",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(geometry.origin)}",
    ]
    with open(path, "wb") as stream:
        stream.write(("\n".join(lines) + "\n\n").encode("ascii"))
        stream.write(compress(voxels, gzip=True))


def _vector(values: Iterable[float]) -> str:
    return f"({','.join(repr(float(value)) for value in values)})"


def _header(path: Path) -> Header:
    """The header up to its empty line; a detached one may end with the file, or with a list of files."""
    with open(path, "rb") as stream:
        start = stream.read(HEADER_BYTES)
    if not start.startswith(MAGIC):
        raise _invalid(path, "another header")
    fields: dict[str, str] = {}
    lines, length = start.splitlines(keepends=True), 0
    for number, line in enumerate(lines):
        length += len(line)
        text = line.decode("utf-8", "replace").strip()
        if not text:
            break
        if number == 0 or text.startswith("#") or ":=" in text:
            continue
        name, found, value = text.partition(":")
        if not found:
            raise _invalid(path, f"a line that is no field: {text[:40]!r}")
        name = SYNONYMS.get(name.strip().lower(), name.strip().lower())
        if fields.setdefault(name, value.strip()) != value.strip():
            raise _invalid(path, f"two different fields {name}")
        if name == "data file" and value.split()[:1] == ["LIST"]:
            return _checked(path, Header(fields, tuple(_listed(lines[number + 1 :])), length))
    else:
        if "data file" not in fields:
            raise _invalid(path, "its header has no end")
    return _checked(path, Header(fields, (), length))


def _listed(lines: list[bytes]) -> list[str]:
    return [text for text in (line.decode("utf-8", "replace").strip() for line in lines) if text]


def _checked(path: Path, header: Header) -> Header:
    missing = [name for name in NEEDED if name not in header.fields]
    if missing:
        raise _invalid(path, f"its header lacks {', '.join(missing)}")
    return header


def _describe(path: Path, header: Header) -> tuple[Stored, tuple[int, ...], int | None]:
    """What the header tells, the sizes of the axes in the file, and which of them are the channels."""
    fields = header.fields
    try:
        sizes = tuple(int(word) for word in fields["sizes"].split())
        if len(sizes) != int(fields["dimension"]) or min(sizes, default=0) < 1:
            raise ValueError(f"dimension {fields['dimension']}, sizes {fields['sizes']}")
        channel = channel_axis(path, fields, sizes)
        geometry = geometry_of(fields, [axis for axis in range(len(sizes)) if axis != channel])
    except (ValueError, OverflowError) as error:
        raise _invalid(path, str(error)) from None
    space = [size for axis, size in enumerate(sizes) if axis != channel]
    channels = 1 if channel is None else sizes[channel]
    shape = (*space, *(1,) * (3 - len(space)), *((channels,) if channels > 1 else ()))
    dtype = _type(path, fields).newbyteorder("=")
    return Stored(no_voxels(shape, dtype), geometry.affine(), geometry), sizes, channel


def _type(path: Path, fields: dict[str, str]) -> np.dtype:
    """The type of a number in the file, in its byte order."""
    stated = " ".join(fields["type"].lower().split())
    if stated not in TYPES:
        raise unusable(path, Row.VOXEL_TYPE, f"{stated} voxels", "convert it to one number a voxel")
    dtype, encoding = np.dtype(TYPES[stated]), ENCODINGS.get(fields["encoding"].lower())
    if dtype.itemsize == 1 or encoding == "text":
        return dtype
    order = BYTE_ORDERS.get(fields.get("endian", "").lower())
    if order is None:
        raise _invalid(path, "its header does not say whether it is little or big endian")
    return dtype.newbyteorder(order)  # type: ignore[arg-type]


def _data_files(path: Path, header: Header) -> list[DataFile]:
    """Where the voxels are."""
    fields = header.fields
    encoding = ENCODINGS.get(fields["encoding"].lower())
    if encoding is None:
        problem = f"its encoding is {fields['encoding']}"
        raise unusable(path, Row.UNREADABLE, problem, "save it as raw or gzip")
    try:
        lines, skipped = int(fields.get("line skip", 0)), int(fields.get("byte skip", 0))
        if lines < 0 or skipped < -1 or (skipped == -1 and encoding != "raw"):
            raise ValueError(f"line skip {lines}, byte skip {skipped}, encoding {encoding}")
        kind, *rest = fields.get("data file", "").split() or [""]
        names, dimension = [fields.get("data file", "")], rest
        if kind == "LIST":
            names = list(header.listed)
        elif "%" in kind and len(rest) in (3, 4):
            first, last, step = map(int, rest[:3])
            names, dimension = (
                [kind % number for number in range(first, last + (1 if step > 0 else -1), step)],
                rest[3:],
            )
        if kind == "LIST" or len(names) > 1:
            axes = int(fields["dimension"])
            if dimension and int(dimension[0]) not in (axes - 1, axes):
                raise ValueError(f"files of {dimension[0]} axes each")
    except (ValueError, TypeError) as error:
        raise _invalid(path, str(error)) from None
    if not names:
        raise _invalid(path, "its header names no file of voxels")
    inner, outer = (skipped, 0) if encoding in ("zlib", "bzip2") else (0, skipped)
    if "data file" not in fields:
        return [DataFile(path, encoding, header.length, lines, outer, inner)]
    return [DataFile(path.parent / name, encoding, 0, lines, outer, inner) for name in names]


def _invalid(path: Path, reason: str) -> Exception:
    return unusable(path, Row.UNREADABLE, f"not a valid NRRD file ({reason})", CONVERT_AGAIN)
