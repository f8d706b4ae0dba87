"""A tree of DICOM folders, with segmentations (SEG) anywhere in it."""

from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.text import first_few
from data_preprocessing.dataset.layouts.model import FoundCase, Layout
from data_preprocessing.dataset.scans import find_images
from data_preprocessing.images.formats.dicom_file import INVALID, read_header
from data_preprocessing.images.formats.dicom_segments import is_segmentation, segmentation_header


def find_dicom(source: Path, labels: Path | None = None) -> Layout:
    """Returns one case per DICOM series below `source`, each with the segmentation below `labels` that refers to it.

    Series and segmentations are matched by the series that a segmentation names, else by frame of reference, else by
    study, where that fits one series only. Patients are the groups. Raises UserError where a segmentation fits no
    series or several, or where two fit one.
    """
    series = [case for case in find_images(source, 1) if case.images[0].is_dir()]
    headers = {case.name: series_header(case.images[0]) for case in series}
    found: dict[str, Path] = {}
    for path in segmentations_in(labels or source):
        name = _referenced(path, headers)
        if name in found:
            remedy = "keep one of them, or list the pairs in a file for --table"
            raise UserError(f"{path}: {name} has the segmentation {found[name]} too; {remedy}")
        found[name] = path
    cases = tuple(
        FoundCase(case.name, case.images, segmentation=found.get(case.name), group=headers[case.name]["PatientID"])
        for case in series
    )
    without = [case.name for case in cases if not case.has_label]
    notes = (f"series without a segmentation: {first_few(without)}",) if without else ()
    return Layout("DICOM tree", cases, notes=notes)


def segmentations_in(folder: Path) -> list[Path]:
    """Returns the DICOM segmentations at any depth in a folder, sorted."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return sorted(path for path in files if is_segmentation(path))


def series_header(folder: Path) -> dict[str, str]:
    """Returns what the first image in the folder of a series says about series, place, study and patient."""
    from pydicom import dcmread

    names = ("SeriesInstanceUID", "FrameOfReferenceUID", "StudyInstanceUID", "PatientID")
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        try:
            header = read_header(path)
            if header is not None and header.is_image and not header.is_localizer:
                dataset = dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(names))
                return {name: str(dataset.get(name) or "") for name in names}
        except (OSError, UserError, *INVALID):
            continue
    return dict.fromkeys(names, "")


def _referenced(path: Path, series: dict[str, dict[str, str]]) -> str:
    """The name of the one series that a segmentation belongs to."""
    stated = segmentation_header(path)
    for key, wanted in (
        ("SeriesInstanceUID", stated.series),
        ("FrameOfReferenceUID", (stated.frame_of_reference,)),
        ("StudyInstanceUID", (stated.study,)),
    ):
        fits = [name for name, header in series.items() if header[key] and header[key] in wanted]
        if len(fits) == 1:
            return fits[0]
        if fits:
            raise UserError(f"{path}: fits {first_few(fits)}; list image and label of each case in a file for --table")
    raise UserError(f"{path}: a segmentation of none of the {len(series)} series there; add its images, or remove it")
