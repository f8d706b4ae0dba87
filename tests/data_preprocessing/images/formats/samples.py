"""A DICOM series on disk, written slice by slice with SimpleITK, and a TIFF written tag by tag."""

import locale
import struct
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK

LPS = np.diag([-1.0, -1.0, 1.0])


def write_series(
    folder: Path,
    image: nib.Nifti1Image,
    uid: str = "1.2.826.0.1.3680043.2.1125.1",
    skip: Sequence[int] = (),
    shear: float = 0.0,
    description: str = "axial",
) -> list[Path]:
    """Writes the voxels `(i, j, k)` of `image`, int16, as one file a slice along k; returns the files in that order.

    Slices in `skip` are left out; each further one lies `shear` mm along j off its place.
    """
    folder.mkdir(parents=True, exist_ok=True)
    voxels, affine = np.asarray(image.dataobj), image.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    directions = LPS @ (affine[:3, :3] / spacing)
    files, before = [], locale.setlocale(locale.LC_ALL)
    for k in range(voxels.shape[2]):
        if k in skip:
            continue
        picture = SimpleITK.GetImageFromArray(np.ascontiguousarray(voxels[:, :, k].T.astype(np.int16)))
        picture.SetSpacing([float(spacing[0]), float(spacing[1])])
        place = LPS @ (affine @ [0, 0, k, 1])[:3] + k * shear * directions[:, 1]
        tags = {
            "0008|0060": "CT",
            "0020|000e": uid,
            "0020|000d": "1.2.826.0.1.3680043.2.1125.9",
            "0008|0018": f"{uid}.{k + 1}",
            "0008|103e": description,
            "0020|0013": str(k + 1),
            "0020|0032": "\\".join(f"{value:.10g}" for value in place),
            "0020|0037": "\\".join(f"{value:.10g}" for value in (*directions[:, 0], *directions[:, 1])),
            "0018|0050": f"{spacing[2]:.10g}",
        }
        for tag, value in tags.items():
            picture.SetMetaData(tag, value)
        files.append(folder / f"slice{(k * 7) % 100:02d}_{k}.dcm")  # not in the order of their names
        writer = SimpleITK.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(files[-1]))
        writer.Execute(picture)
    locale.setlocale(locale.LC_ALL, before)  # writing DICOM, ITK changes that of the whole process
    return files


def write_page(path: Path, tags: dict[int, int], data: bytes) -> Path:
    """Writes a TIFF of one page whose tags are single numbers; the data begin where tag 273 says."""
    start = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, start if tag == 273 else tags[tag]) for tag in sorted(tags))
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + data)
    return path
