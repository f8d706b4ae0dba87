"""Make a data set folder of the cases that a layout found."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import new_folder, writing
from data_preprocessing.common.text import counted, first_few
from data_preprocessing.dataset.layouts.labels import label_names
from data_preprocessing.dataset.layouts.modality import guess_channels
from data_preprocessing.dataset.layouts.model import FoundCase, Layout
from data_preprocessing.dataset.layouts.survey import (
    LABEL_SUFFIX,
    CaseFacts,
    Sample,
    class_numbers,
    sample_intensities,
    survey,
)
from data_preprocessing.dataset.layouts.writing import (
    LABELS,
    Transfer,
    check_output,
    transferred,
    write_description,
    write_splits,
)
from data_preprocessing.dataset.leakage import divided_groups, equal_files
from data_preprocessing.images.checks.voxels import check_hounsfield
from data_preprocessing.jobs.backend import Backend

OVERLAPS_SHOWN = 10
LARGEST_SPREAD = 4.0  # times, between the spacings of cases along one axis


@dataclass(frozen=True)
class Choices:
    """What the user states about the data set: names of channels, class names by number (or in order), and how files
    get into its folder (None: they stay where they are)."""

    channels: tuple[str, ...] = ()
    names: Mapping[int, str] | None = None
    transfer: Transfer | None = None
    relative: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class Made:
    """A data set that was written. `labels` are the numbers of the classes by name; `splits` is a file or None."""

    path: Path
    cases: tuple[FoundCase, ...]
    facts: Mapping[str, CaseFacts]
    channels: tuple[str, ...]
    labels: Mapping[str, int | list[int]]
    warnings: tuple[str, ...]
    splits: Path | None


def make_dataset(
    layout: Layout,
    folder: Path,
    choices: Choices,
    backend: Backend,
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> Made:
    """Writes `folder/dataset.json`, and what it needs that is not there: label maps of masks and segments.

    Input files are never changed. Raises UserError, with nothing written, where the folder holds a data set or inputs
    that would be replaced, the modality is in doubt, or a case cannot be used: all of them are named.
    """
    makes_labels = any(case.label is None and case.has_label for case in layout.cases)
    check_output(folder, layout.cases, choices.overwrite, makes_labels or choices.transfer is not None)
    if not any(case.has_label for case in layout.cases):
        raise UserError(f"{layout.cases[0].images[0]}: no case has a label; name the labels, with --label or --labels")
    samples = sample_intensities(layout.cases)
    channels = _channels(layout, choices, samples)
    numbers = _class_numbers(layout.cases, choices.names)
    with new_folder(folder), _scratch(folder) as scratch:
        facts, problems = survey(layout.cases, numbers, scratch, backend, on_case)
        problems += _other_channels(facts, channels)
        if problems:
            raise UserError(
                f"{counted(len(problems), 'problem')}: {first_few(problems)}; correct or remove these cases"
            )
        found = {number for each in facts for number in each.voxels}
        labels, notes = label_names(layout.labels, numbers, choices.names, found)
        cases = list(layout.cases)
        if choices.transfer:
            cases = [transferred(folder, case, choices.transfer) for case in cases]
        cases = [_with_label(case, scratch, folder / LABELS) for case in cases]
        folds = layout.folds or _fixed_validation(cases)
        splits = write_splits(folder, folds) if folds else None
        path = write_description(folder, cases, channels, labels, layout.regions_class_order, choices.relative)
    warnings = [
        *layout.notes,
        *notes,
        *_value_warnings(channels, samples),
        *_grid_warnings(facts),
        *_overlap_warnings(facts),
        *_missing_masks(layout.cases),
        *_leaks(layout.cases, folds),
    ]
    return Made(path, tuple(cases), {each.name: each for each in facts}, channels, labels, tuple(warnings), splits)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder for label maps until all of them are made."""
    with writing(folder):
        scratch = Path(tempfile.mkdtemp(prefix=f".{LABELS}.", dir=folder))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _with_label(case: FoundCase, scratch: Path, labels: Path) -> FoundCase:
    """The case with the label map that was made of its masks or segments, moved to where it stays."""
    if case.label is not None or not case.has_label:
        return case
    target = labels / f"{case.name}{LABEL_SUFFIX}"
    with writing(target):
        labels.mkdir(exist_ok=True)
        (scratch / target.name).replace(target)
    return replace(case, label=target, segmentation=None, masks={})


def _channels(layout: Layout, choices: Choices, samples: Sequence[Sample]) -> tuple[str, ...]:
    count = len(samples[0])
    named = choices.channels or layout.channels
    if named:
        if len(named) != count:
            listed = ", ".join(named)
            raise UserError(f"{layout.cases[0].images[0]}: {counted(count, 'channel')}, but named are {listed}")
        return named
    guessed = guess_channels(layout.cases, samples)
    known = tuple(name for name in guessed if name is not None)
    if len(known) == len(guessed):
        return known
    index = guessed.index(None)
    low, high = (
        f(getattr(sample[index][0], end) for sample in samples) for f, end in ((min, "lowest"), (max, "highest"))
    )
    example = " ".join(name or ("MRI" if len(guessed) == 1 else f"NAME{at}") for at, name in enumerate(guessed))
    raise UserError(
        f"{layout.cases[0].images[0]}: its modality is in doubt (channel {index} from {low:g} to {high:g}); state it, "
        f"such as --modality {example}, or CT if the values are Hounsfield units"
    )


def _class_numbers(cases: Sequence[FoundCase], names: Mapping[int, str] | None) -> dict[str, int]:
    """Numbers of the structures that masks and segments have: those stated, else all."""
    numbers = class_numbers(cases)
    if not numbers or not names:
        return numbers
    unknown = [name for number, name in names.items() if number and name not in numbers]
    if unknown:
        raise UserError(
            f"--names {unknown[0]}: no mask or segment is called so; choose of {first_few(sorted(numbers))}"
        )
    return {name: number for number, name in names.items() if number}


def _other_channels(facts: Sequence[CaseFacts], channels: Sequence[str]) -> list[str]:
    return [
        f"{each.name}: {counted(each.channels, 'channel')}, where others have {len(channels)}"
        for each in facts
        if each.channels != len(channels) and not (len(channels) == 1 and each.channels == 3)  # grey, saved in colors
    ]


def _fixed_validation(cases: Sequence[FoundCase]) -> list[dict[str, list[str]]]:
    """One fold of the cases that are stated to be for validation, none where no case is."""
    training, validation = (
        [case.name for case in cases if case.split == split] for split in ("training", "validation")
    )
    return [{"train": training, "val": validation}] if validation else []


def _value_warnings(channels: Sequence[str], samples: Sequence[Sample]) -> list[str]:
    found = [
        finding.problem
        for sample in samples
        for name, (intensities, _) in zip(channels, sample, strict=True)
        for finding in check_hounsfield(replace(intensities, channel=name))
    ]
    return list(dict.fromkeys(found))


def _grid_warnings(facts: Sequence[CaseFacts]) -> list[str]:
    spread = [max(sizes) / min(sizes) for sizes in zip(*(each.spacing for each in facts), strict=True)]
    if max(spread) < LARGEST_SPREAD:
        return []
    return [f"voxels of some cases are {max(spread):.1f} times as large as those of others along one axis"]


def _overlap_warnings(facts: Sequence[CaseFacts]) -> list[str]:
    voxels: Counter[tuple[str, str]] = Counter()
    cases: Counter[tuple[str, str]] = Counter()
    for each in facts:
        voxels.update(each.overlaps)
        cases.update(each.overlaps.keys())
    worst = sorted(voxels, key=lambda pair: -voxels[pair])
    more = [f"{len(worst) - OVERLAPS_SHOWN} more pairs of structures overlap"] if len(worst) > OVERLAPS_SHOWN else []
    return more + [
        f"{first} and {second} overlap in {counted(voxels[first, second], 'voxel')} of "
        f"{counted(cases[first, second], 'case')}: {second} has them"
        for first, second in worst[:OVERLAPS_SHOWN]
    ]


def _missing_masks(cases: Sequence[FoundCase]) -> list[str]:
    masked = [case for case in cases if case.masks]
    have = Counter(name for case in masked for name in case.masks)
    return [
        f"{name}: no mask in {counted(len(masked) - times, 'case')}, treated as absent"
        for name, times in sorted(have.items())
        if times < len(masked)
    ]


def _leaks(cases: Sequence[FoundCase], folds: Sequence[Mapping[str, Sequence[str]]]) -> list[str]:
    """Equal scans, and patients on both sides of a split."""
    warnings = [
        f"{' and '.join(names)} are the same image: one may be trained on and the other judged"
        for names in equal_files({case.name: case.images[0] for case in cases})
    ]
    groups = {case.name: case.group for case in cases if case.group}
    test = [case.name for case in cases if case.split == "test"]
    divided = divided_groups(groups, [[case.name for case in cases if case.split != "test"], test])
    for fold in folds:
        divided |= divided_groups(groups, [fold["train"], fold["val"]])
    return warnings + [
        f"{group} is both trained on and judged: {first_few(names)}" for group, names in sorted(divided.items())
    ]
