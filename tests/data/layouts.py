"""Small data sets in the layouts that people keep their files in. Each function writes one and returns its oracle.

By hand: `python -m tests.data.layouts FOLDER` writes all of them.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom import Dataset, uid

from tests.data_preprocessing.images.formats.dicom_samples import save_dataset, write_slice

SHAPE = (20, 18, 11)  # (x, y, z): rows times columns are no multiple of 8, as segments of one bit need no gap
SPACING = (0.8, 0.9, 2.5)  # mm along them
ORGANS = ("kidney", "liver", "spleen")
SEG, LABELMAP_SEG = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"


@dataclass(frozen=True)
class Scan:
    """What a case must be read as: image `(x, y, z, channel)` and class numbers `(x, y, z)`, both RAS+."""

    image: np.ndarray
    label: np.ndarray


Oracle = Mapping[str, Scan]


def scan(seed: int, channels: int = 1, kind: str = "ct") -> Scan:
    """Returns a made-up scan with one box per organ."""
    random = np.random.default_rng(seed)
    if kind == "ct":
        image = random.integers(-200, 200, (*SHAPE, channels)).astype(np.int16)
        image[0], image[-1] = -1024, 900
    else:
        image = random.integers(0, 1500, (*SHAPE, channels)).astype(np.int16)
    label = np.zeros(SHAPE, np.uint8)
    for number in range(1, len(ORGANS) + 1):
        corner = random.integers(0, 3, 3) + np.array([5 * (number - 1), 4, 2])
        label[tuple(slice(start, start + 4) for start in corner)] = number
    return Scan(image, label)


def save_nifti(path: Path, voxels: np.ndarray, flip: bool = True) -> Path:
    """Writes RAS+ voxels, stored from left to right and front to back where `flip`, as most scanners' files are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([*SPACING, 1.0])
    if flip:
        voxels = voxels[::-1, ::-1]
        affine[:2, :2] *= -1
        affine[:2, 3] = (SHAPE[0] - 1) * SPACING[0], (SHAPE[1] - 1) * SPACING[1]
    nib.save(nib.Nifti1Image(np.ascontiguousarray(voxels), affine), path)
    return path


def paired_names(root: Path, cases: int = 4) -> Oracle:
    """`scans/scan_3.nii.gz` with `masks/seg_3.nii.gz`."""
    oracle = {f"scan_{index}": scan(index) for index in range(1, cases + 1)}
    for name, each in oracle.items():
        save_nifti(root / "scans" / f"{name}.nii.gz", each.image[..., 0])
        save_nifti(root / "masks" / f"{name.replace('scan', 'seg')}.nii.gz", each.label, flip=False)
    return oracle


def per_patient(root: Path, cases: int = 4) -> Oracle:
    """`P001/ct.nii.gz` with `P001/seg.nii.gz`."""
    oracle = {f"P{index:03d}": scan(index) for index in range(1, cases + 1)}
    for name, each in oracle.items():
        save_nifti(root / name / "ct.nii.gz", each.image[..., 0])
        save_nifti(root / name / "seg.nii.gz", each.label)
    (root / "notes").mkdir()
    return oracle


def channels_by_suffix(root: Path, flat: bool, cases: int = 4) -> Oracle:
    """`sub-1_t1.nii.gz`, `sub-1_flair.nii.gz` and `sub-1_seg.nii.gz`, in one folder or a folder per patient."""
    oracle = {f"sub-{index}": scan(index, 2, "mr") for index in range(1, cases + 1)}
    for name, each in oracle.items():
        folder = root if flat else root / name
        save_nifti(folder / f"{name}_t1.nii.gz", each.image[..., 0])
        save_nifti(folder / f"{name}_flair.nii.gz", each.image[..., 1])
        save_nifti(folder / f"{name}_seg.nii.gz", each.label)
    return oracle


def structure_masks(root: Path, cases: int = 3) -> Oracle:
    """TotalSegmentator's: `s0001/ct.nii.gz` with `s0001/segmentations/liver.nii.gz` and others; two overlap."""
    oracle = {}
    for index in range(1, cases + 1):
        each, name = scan(index), f"s{index:04d}"
        save_nifti(root / name / "ct.nii.gz", each.image[..., 0])
        label = each.label.copy()
        for number, organ in enumerate(ORGANS, start=1):
            mask = (each.label == number).astype(np.uint8)
            if organ == "spleen":  # over a part of the liver, where it comes later
                mask[np.logical_and(each.label == 2, np.cumsum(each.label.ravel() == 2).reshape(SHAPE) <= 5)] = 1
                label[mask == 1] = number
            save_nifti(root / name / "segmentations" / f"{organ}.nii.gz", mask, flip=number != 2)
        oracle[name] = Scan(each.image, label)
    return oracle


def nnunet_raw(root: Path, cases: int = 4) -> Oracle:
    """An nnU-Net v2 raw folder of two channels, with its splits."""
    oracle = {f"case_{index:03d}": scan(index, 2, "mr") for index in range(cases)}
    for name, each in oracle.items():
        for channel in range(2):
            save_nifti(root / "imagesTr" / f"{name}_{channel:04d}.nii.gz", each.image[..., channel])
        save_nifti(root / "labelsTr" / f"{name}.nii.gz", each.label)
    content = {
        "channel_names": {"0": "T2", "1": "ADC"},
        "labels": {"background": 0} | {organ: number for number, organ in enumerate(ORGANS, start=1)},
        "numTraining": cases,
        "file_ending": ".nii.gz",
    }
    (root / "dataset.json").write_text(json.dumps(content))
    names = list(oracle)
    splits = [{"train": names[2:], "val": names[:2]}, {"train": names[:2], "val": names[2:]}]
    (root / "splits_final.json").write_text(json.dumps(splits))
    return oracle


def monai_datalist(root: Path, cases: int = 4) -> Oracle:
    """`datalist.json` whose images are `p1/image.nii.gz`, with folds."""
    oracle = {f"p{index}-image": scan(index) for index in range(cases)}
    training = []
    for index, (name, each) in enumerate(oracle.items()):
        folder = name.split("-")[0]
        save_nifti(root / folder / "image.nii.gz", each.image[..., 0])
        save_nifti(root / folder / "label.nii.gz", each.label)
        paths = {"image": f"{folder}/image.nii.gz", "label": f"./{folder}/label.nii.gz"}
        training.append(paths | {"fold": index % 2})
    (root / "datalist.json").write_text(json.dumps({"training": training}))
    return oracle


def table(root: Path, cases: int = 6) -> Oracle:
    """`cases.csv` of two channels, two scans per patient, the last patient for validation."""
    oracle = {f"scan{index}": scan(index, 2, "mr") for index in range(cases)}
    lines = ["case;T1;T2;label;patient;split"]
    for index, (name, each) in enumerate(oracle.items()):
        for channel in range(2):
            save_nifti(root / "files" / f"{name}{'ab'[channel]}.nii", each.image[..., channel])
        save_nifti(root / "files" / f"{name}_truth.nii.gz", each.label)
        files = f"files/{name}a.nii;files/{name}b.nii;files/{name}_truth.nii.gz"
        lines.append(f"{name};{files};patient{index // 2};{'val' if index >= cases - 2 else 'train'}")
    (root / "cases.csv").write_text("\ufeff" + "\n".join(lines) + "\n", encoding="utf-8")
    return oracle


def dicom_tree(root: Path, cases: int = 3, kind: str = "BINARY", order: Sequence[int] = (0, 1, 2)) -> Oracle:
    """`P1/ST1/CT/IM0001`, ... with `P1/ST1/SEG/seg.dcm`, a segmentation of the organs that refers to the series.

    In each case the segments are numbered in another order.
    """
    oracle = {}
    for index in range(1, cases + 1):
        each = scan(index)
        series, frame_of_reference = f"1.2.3.{index}.1", f"1.2.3.{index}.9"
        stored = dicom_pixels(each.image[..., 0] + 1024)
        for k, pixels in enumerate(stored):
            write_slice(
                root / f"P{index}" / "ST1" / "CT" / f"IM{(k * 7) % len(stored):04d}", pixels.astype(np.uint16), k,
                SOPInstanceUID=f"{series}.{k + 1}", SeriesInstanceUID=series, StudyInstanceUID=f"1.2.3.{index}",
                FrameOfReferenceUID=frame_of_reference, PatientID=f"patient {index}",
                PixelSpacing=[SPACING[1], SPACING[0]],
                ImagePositionPatient=[0, 0, k * SPACING[2]], SliceThickness=SPACING[2],
            )  # fmt: skip
        turned = [order[(at + index) % len(order)] for at in range(len(order))]
        masks = {ORGANS[organ]: each.label == organ + 1 for organ in turned}
        path = root / f"P{index}" / "ST1" / "SEG" / "seg.dcm"
        write_segmentation(path, masks, kind, series, frame_of_reference, f"1.2.3.{index}")
        oracle[f"P{index}-ST1-CT"] = each
    return oracle


def dicom_pixels(ras: np.ndarray) -> np.ndarray:
    """Returns RAS+ voxels `(x, y, z)` as slices `(slice, row, column)`: columns run to the left, rows to the back."""
    return ras[::-1, ::-1].transpose(2, 1, 0)


def write_segmentation(
    path: Path,
    masks: Mapping[str, np.ndarray],
    kind: str,
    series: str,
    frame_of_reference: str,
    study: str,
    x: float = 0.0,
    y: float = 0.0,
) -> Path:
    """Writes masks (RAS+, `(x, y, z)`) as a DICOM segmentation, without the frames in which a segment is absent.

    `x` and `y` (mm, LPS+) are the place of the first pixel.
    """
    dataset = Dataset()
    dataset.SOPClassUID = LABELMAP_SEG if kind == "LABELMAP" else SEG
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = f"{series}.99.1", f"{series}.99"
    dataset.Modality, dataset.SegmentationType = "SEG", kind
    dataset.FrameOfReferenceUID, dataset.StudyInstanceUID, dataset.PatientID = frame_of_reference, study, "one"
    referenced = Dataset()
    referenced.SeriesInstanceUID = series
    dataset.ReferencedSeriesSequence = [referenced]
    segments, frames, pixels = [], [], []
    volumes = [dicom_pixels(mask) for mask in masks.values()]
    for number, name in enumerate(masks, start=1):
        segment = Dataset()
        segment.SegmentNumber, segment.SegmentLabel = number, name
        segments.append(segment)
    if kind == "LABELMAP":
        volumes = [sum(volume.astype(np.uint8) * number for number, volume in enumerate(volumes, start=1))]
    for number, volume in enumerate(volumes, start=1):
        for k, plane in enumerate(volume):
            if not plane.any():
                continue
            place, identification, frame = Dataset(), Dataset(), Dataset()
            place.ImagePositionPatient = [x, y, k * SPACING[2]]
            frame.PlanePositionSequence = [place]
            if kind != "LABELMAP":
                identification.ReferencedSegmentNumber = number
                frame.SegmentIdentificationSequence = [identification]
            frames.append(frame)
            pixels.append(plane)
    plane, measures, shared = Dataset(), Dataset(), Dataset()
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [SPACING[1], SPACING[0]], SPACING[2]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [plane], [measures]
    dataset.SegmentSequence, dataset.PerFrameFunctionalGroupsSequence = segments, frames
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.Rows, dataset.Columns = pixels[0].shape
    dataset.NumberOfFrames, dataset.SamplesPerPixel, dataset.PixelRepresentation = len(frames), 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    bits = 1 if kind == "BINARY" else 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    stack = np.stack(pixels)
    if kind == "FRACTIONAL":
        dataset.MaximumFractionalValue, dataset.SegmentationFractionalType = 200, "PROBABILITY"
        faint = np.random.default_rng(0).integers(0, 100, stack.shape)  # under half
        content = np.where(stack, 100, faint).astype(np.uint8).tobytes()
    elif kind == "BINARY":
        content = np.packbits(stack.astype(bool).ravel(), bitorder="little").tobytes()
    else:
        content = stack.astype(np.uint8).tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset["PixelData"].VR = "OB"
    return save_dataset(path, dataset, uid.ExplicitVRLittleEndian)


LAYOUTS: Mapping[str, Callable[[Path], Oracle]] = {
    "paired": paired_names,
    "patients": per_patient,
    "flat channels": lambda root: channels_by_suffix(root, flat=True),
    "channels": lambda root: channels_by_suffix(root, flat=False),
    "masks": structure_masks,
    "nnunet": nnunet_raw,
    "monai": monai_datalist,
    "table": table,
    "dicom": dicom_tree,
}

if __name__ == "__main__":
    for name, write in LAYOUTS.items():
        write(Path(sys.argv[1]) / name.replace(" ", "_"))
