"""Write the `dataset.json` of cases that were found, and copy or link their files where that is asked for."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import write_json, writing
from data_preprocessing.common.inputs_kept import Inputs
from data_preprocessing.dataset.description import Description, TrainingEntry
from data_preprocessing.dataset.layouts.model import FoundCase
from data_preprocessing.dataset.splits import SPLITS_NAME
from data_preprocessing.images.checks.finding import refuse
from data_preprocessing.images.checks.listing import check_names
from data_preprocessing.images.formats.registry import case_name, files_of

DESCRIPTION_NAME = "dataset.json"
IMAGES, LABELS, TEST = "imagesTr", "labelsTr", "imagesTs"
Transfer = Literal["copy", "link"]


def check_output(folder: Path, cases: Sequence[FoundCase], overwrite: bool, makes_labels: bool) -> None:
    """Raises UserError where a data set cannot be written to `folder`: it has one, or inputs would be replaced."""
    refuse(folder, *check_names([case.name for case in cases]))
    slashed = next((case.name for case in cases if "/" in case.name), None)
    if slashed:
        raise UserError(f"{slashed}: no name for a case, as it has a slash; correct it")
    path = folder / DESCRIPTION_NAME
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: a file; name a folder with --output")
    if path.exists() and not overwrite:
        raise UserError(f"{path}: is there already; name another folder with --output, or replace it with --overwrite")
    inputs = Inputs([file for case in cases for file in case.files])
    inputs.refuse_file("--output", path)
    for part in (LABELS, IMAGES, TEST) if makes_labels else ():
        inputs.refuse_folder("--output", folder / part, f"its {part} holds the inputs")


def transferred(folder: Path, case: FoundCase, how: Transfer) -> FoundCase:
    """Returns a case whose image and label map were copied, or linked, into `folder`.

    A case of one file is `imagesTr/NAME.nii.gz`, of several `imagesTr/NAME_0000.nii.gz`, ...; a DICOM folder, or a
    file that is read with others beside it, keeps its files' names in a folder of the case. What is there is replaced.
    """
    part = TEST if case.split == "test" else IMAGES
    images = tuple(
        _transfer(path, folder / part, f"{case.name}_{index:04d}" if len(case.images) > 1 else case.name, how)
        for index, path in enumerate(case.images)
    )
    label = case.label and _transfer(case.label, folder / LABELS, case.name, how)
    return replace(case, images=images, label=label)


def _transfer(source: Path, folder: Path, name: str, how: Transfer) -> Path:
    files = files_of(source)
    if source.is_dir():
        target = result = folder / name
    elif len(files) > 1:
        target, result = folder / name, folder / name / source.name
    else:
        result = folder / f"{name}{source.name[len(case_name(source)) :]}"
        _place(source, result, how)
        return result
    for file in files:
        _place(file, target / file.name, how)
    return result


def _place(source: Path, target: Path, how: Transfer) -> None:
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{os.getpid()}.{target.name}")
        if how == "copy":
            shutil.copyfile(source, temporary)
        else:
            temporary.symlink_to(source.resolve())
        temporary.replace(target)


def write_description(
    folder: Path,
    cases: Sequence[FoundCase],
    channels: Sequence[str],
    labels: Mapping[str, int | list[int]],
    regions_class_order: Sequence[int] | None = None,
    relative: bool = False,
) -> Path:
    """Writes `dataset.json` into `folder` and returns its path; validation cases are among the training cases.

    Paths of files in `folder`, or with `relative` of all, are written from there, others in full.
    """
    training = [case for case in cases if case.split != "test" and case.label is not None]
    test = [case for case in cases if case not in training]
    names_first = regions_class_order is None
    content = Description(
        name=folder.name,
        modality={str(index): name for index, name in enumerate(channels)},
        labels={str(number): name for name, number in labels.items()} if names_first else dict(labels),
        regions_class_order=list(regions_class_order) if regions_class_order is not None else None,
        numTraining=len(training),
        numTest=len(test),
        training=[
            TrainingEntry(
                name=case.name,
                image=_images(folder, case, relative),
                label=_written(folder, case.label, relative),
            )
            for case in training
            if case.label
        ],
        test=[_written(folder, case.images[0], relative) for case in test if len(case.images) == 1]
        + [{"name": case.name, "image": _images(folder, case, relative)} for case in test if len(case.images) > 1],
        groups={case.name: case.group for case in training if case.group} or None,
    )
    path = folder / DESCRIPTION_NAME
    write_json(path, content.model_dump(exclude_none=True))
    return path


def write_splits(folder: Path, folds: Sequence[Mapping[str, Sequence[str]]]) -> Path:
    """Writes folds as nnU-Net does in `splits_final.json`; returns the path."""
    path = folder / SPLITS_NAME
    write_json(path, [{key: list(fold[key]) for key in ("train", "val")} for fold in folds])
    return path


def _images(folder: Path, case: FoundCase, relative: bool) -> str | list[str]:
    paths = [_written(folder, path, relative) for path in case.images]
    return paths[0] if len(paths) == 1 else paths


def _written(folder: Path, path: Path, relative: bool) -> str:
    full, home = Path(os.path.abspath(path)), Path(os.path.abspath(folder))  # noqa: PTH100 - links keep their names
    if full.is_relative_to(home):
        return str(full.relative_to(home))
    return os.path.relpath(full, home) if relative else str(full)
