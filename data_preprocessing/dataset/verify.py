"""The check of a whole data set: every problem of every case in one go."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from data_preprocessing.common.defaults import FOLDS
from data_preprocessing.common.errors import UserError
from data_preprocessing.common.task import Dimensions
from data_preprocessing.dataset.dataset import (
    Case,
    description_file,
    image_files,
    list_cases,
    read_channels,
    read_json,
    read_labels,
)
from data_preprocessing.dataset.leakage import equal_files
from data_preprocessing.dataset.listed_scans import listed_images
from data_preprocessing.dataset.memory import estimate_reading
from data_preprocessing.dataset.nnunet_raw import load_nnunet_raw
from data_preprocessing.dataset.open_dataset import is_nnunet_raw, open_dataset
from data_preprocessing.dataset.splits import number_of_groups, stated_groups
from data_preprocessing.dataset.verify_case import Expected, check_case
from data_preprocessing.dataset.verify_reading import finding_of, read_and_check_case
from data_preprocessing.images.checks.finding import Finding, Row, Unusable, error, warning, worst_first
from data_preprocessing.images.checks.listing import (
    check_classes,
    check_count,
    check_folds,
    check_names,
    check_repeats,
    check_test_images,
)
from data_preprocessing.jobs.backend import Backend, run_small_jobs
from data_preprocessing.jobs.process_pool import Job

Part = TypeVar("Part")


def check_dataset(
    name: str,
    dim: Dimensions | None,
    data: Path,
    backend: Backend,
    trust_grid: bool = False,
    folds: int = FOLDS,
    on_case: Callable[[int, int], None] = lambda done, total: None,
    read: bool = False,
) -> list[Finding]:
    """Returns every problem of the data set `data/name` and of its training cases, worst first.

    `dim` is that of the network they are for, None: of any. Where one file cannot be read, or dataset.json not be
    understood in part, the rest is checked all the same. With `trust_grid` a label of another affine than its image's
    is a warning; fewer cases than `folds` are an error. Where files are large, `backend` reads the cases;
    `on_case(done, total)` is called after each. With `read` each case is also read as preprocessing reads it, which
    takes twice as long: without an error in the findings, preprocessing reads all of them.
    """
    try:
        path = description_file(data, name)
        read_json(path)
    except Unusable as refusal:
        return [refusal.finding]
    findings: list[Finding] = []
    expected = Expected(
        _attempt(read_channels, path, findings) or (), _attempt(read_labels, path, findings) or {}, dim, trust_grid
    )
    if is_nnunet_raw(path.parent):  # its cases are what is there: no list to check
        there = _attempt(lambda path: list(load_nnunet_raw(path.parent).training), path, findings)
        if there is None:
            return worst_first(findings)
        cases = there
    else:
        listed = _attempt(lambda path: list_cases(path, len(expected.channels) or 1), path, findings)
        if listed is None:
            return worst_first(findings)
        cases = listed
        findings += [finding.at(path) for finding in _check_listing(path, cases)]
    findings += _check_equal_images(path, cases)
    if folds:
        grouped = _attempt(lambda path: _groups(path, cases), path, findings)
        findings += [finding.at(path) for finding in check_folds(grouped or len(cases), folds)]
    once = list(dict.fromkeys(cases))
    numbers = []
    refused: list[Finding] = []
    dataset = _attempt(lambda path: open_dataset(data, name), path, refused)
    if read and dataset:
        described = replace(dataset, training=())  # a job is sent what it needs
        jobs = [
            Job(case.name, read_and_check_case, (case, expected, described), estimate_reading(case)) for case in once
        ]
    else:
        jobs = [Job(case.name, check_case, (case, expected), estimate_reading(case)) for case in once]
    files = [file for case in once for file in case.files]
    for done, outcome in enumerate(run_small_jobs(jobs, files, backend), start=1):
        if outcome.result is None:  # no mistake of the user's
            raise RuntimeError(f"checking {outcome.name}: {outcome.failure}")
        findings += outcome.result.findings
        if outcome.result.numbers is not None:
            numbers.append(outcome.result.numbers)
        on_case(done, len(once))
    findings += [finding.at(path) for finding in check_classes(numbers, expected.labels)]
    if not any(finding.level == "error" for finding in findings):
        findings += refused  # for what no check has found
    return worst_first(_pictures_as_one(path, findings, len(once)))


def _pictures_as_one(path: Path, findings: list[Finding], cases: int) -> list[Finding]:
    """Where all cases are single slices, that is one error, of the data set."""
    others = [finding for finding in findings if finding.row != Row.SINGLE_SLICE]
    if cases == 1 or len(findings) - len(others) < cases:
        return findings
    problem = "all its images are single slices, for a 3D network"
    return [*others, error(Row.SINGLE_SLICE, problem, "use --dim 2").at(path)]


def _attempt(read: Callable[[Path], Part], path: Path, findings: list[Finding]) -> Part | None:
    """One part of dataset.json; what is wrong with it goes to `findings`."""
    try:
        return read(path)
    except UserError as refusal:
        findings.append(finding_of(refusal))
    return None


def _groups(path: Path, cases: list[Case]) -> int:
    """How many groups of cases there are to be divided into folds."""
    names = {case.name for case in cases}
    return number_of_groups(names, stated_groups(path, read_json(path), names))


def _check_equal_images(path: Path, cases: list[Case]) -> list[Finding]:
    """Cases with the same image, of which one may be trained on and another judged; not those of one group."""
    images = {case.name: case.images[0] for case in cases}
    try:
        groups = stated_groups(path, read_json(path), images)
    except UserError:
        groups = {}
    remedy = "keep one of them, or give both the same group under groups in dataset.json"
    return [
        warning(Row.LISTED_TWICE, f"{' and '.join(names)} are the same image", remedy).at(path)
        for names in equal_files(images)
        if len({groups.get(name, name) for name in names}) > 1
    ]


def _check_listing(path: Path, cases: list[Case]) -> list[Finding]:
    content = read_json(path)
    training = {file.resolve() for case in cases for file in case.images}
    return [
        *check_repeats(cases),
        *check_names([case.name for case in dict.fromkeys(cases)]),
        *check_test_images(training, _test_images(path)),
        *check_count(content.get("numTraining"), [len(cases), len(content["training"])]),
    ]


def _test_images(path: Path) -> set[Path]:
    """The Decathlon lists test images by their paths; others wrap them as they do training images."""
    try:
        listed = [path.parent / image for _, images in listed_images(path) for image in images]
    except UserError:  # prediction tells it, which alone needs the list
        return set()
    return {file.resolve() for image in listed for file in image_files(image)}
