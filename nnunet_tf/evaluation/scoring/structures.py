"""What is scored: which labels of a prediction stand for which labels of the truth, and their names."""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.dataset import read_channels, read_labels
from data_preprocessing.planning.plan import PLAN_NAME, Plan, read_plan
from nnunet_tf.evaluation.scoring.described_folder import FolderDescription, read_description


@dataclass(frozen=True)
class Structure:
    """One scored structure: a union of label numbers, `predicted` in predictions and `true` in label files.

    `value` is its own number: that of its class, or a region's value.
    """

    name: str
    value: int
    predicted: tuple[int, ...]
    true: tuple[int, ...]


@dataclass(frozen=True)
class Structures:
    """All scored structures, and the names of the label numbers that predictions and label files may hold."""

    scored: tuple[Structure, ...]
    predicted: dict[int, str]
    true: dict[int, str]


def find_structures(predictions: Path, labels: Path, include_background: bool = False) -> Structures | None:
    """Returns what is scored in a folder of predictions against a folder of labels, None where nothing names it.

    What the predictions' own dataset.json says; else the regions of the model that made them, if they can be told from
    its labels, else its classes.
    """
    described = read_description(predictions)
    plan = None if described else _model_plan(predictions)
    structures = region_structures(plan) if plan and plan.regions else None
    if described and (described.true_labels is not None or not _label_names(labels)):
        structures = _described_structures(described)
    elif structures is None:
        names = class_names(predictions, labels)
        structures = class_structures(names) if names else None
    if described and structures:  # a run of some structures is scored on these
        values = {structure.value for structure in described.structures}
        wanted = tuple(each for each in structures.scored if each.value in values)
        structures = replace(structures, scored=wanted or structures.scored)
    return with_background(structures) if structures and include_background else structures


def class_names(predictions: Path, labels: Path) -> dict[int, str]:
    """Returns the class name of each label number; {} where nothing names them.

    From the `dataset.json` beside the labels, or in the folder of predictions, or from the `plan.json` one folder up.
    """
    names = _label_names(labels)
    if names:
        return names
    described = read_description(predictions)
    if described:
        return described.labels
    plan = _model_plan(predictions)
    return _plan_names(plan) if plan else {}


def channel_names(predictions: Path, labels: Path) -> tuple[str, ...]:
    """Returns the names of the scans' channels, such as CT; () where nothing names them."""
    described = read_description(predictions)
    plan = None if described else _model_plan(predictions)
    if described or plan:
        return described.channels if described else plan.channels if plan else ()
    for home in homes(labels):
        with suppress(UserError):
            return read_channels(home / "dataset.json")
    return ()


def _label_names(labels: Path) -> dict[int, str]:
    """The class names of the data set that a folder of labels belongs to; {} without dataset.json."""
    for home in homes(labels):
        dataset = home / "dataset.json"
        if dataset.is_file():
            return read_labels(dataset)
    return {}


def _described_structures(described: FolderDescription) -> Structures:
    scored = (Structure(each.name, each.value, each.predicted, each.true) for each in described.structures)
    true = described.labels if described.true_labels is None else described.true_labels
    return Structures(tuple(scored), described.labels, true)


def class_structures(names: dict[int, str]) -> Structures:
    """Returns the structures of a data set with these classes: each of them but the background, 0."""
    scored = tuple(Structure(name, number, (number,), (number,)) for number, name in names.items() if number != 0)
    return Structures(scored, names, names)


def with_background(structures: Structures) -> Structures:
    """Returns the same with label 0 as the first scored structure."""
    background = Structure(structures.true[0], 0, (0,), (0,))
    return replace(structures, scored=(background, *structures.scored))


def region_structures(plan: Plan) -> Structures | None:
    """Returns the regions of a plan as structures, or None where predictions do not tell which regions are where.

    A voxel with a region's value lies in that region, and in the earlier ones only if each of them either holds the
    whole region or nothing of it. Where two regions overlap in part, or an earlier one lies within a later one, which
    is written over it, the numbers do not say.
    """
    scored = []
    for index, region in enumerate(plan.regions):
        later = plan.regions[index + 1 :]
        nested = [other for other in later if set(other.classes) <= set(region.classes)]
        if any(set(other.classes) & set(region.classes) for other in later if other not in nested):
            return None
        predicted = (region.value, *(other.value for other in nested))
        true = tuple(plan.label_values[index] for index in region.classes)
        scored.append(Structure(region.name, region.value, predicted, true))
    values = {0: plan.classes[0]} | {region.value: region.name for region in plan.regions}
    return Structures(tuple(scored), dict(sorted(values.items())), _plan_names(plan))


def comparable_names(plan: Plan) -> dict[int, str]:
    """Returns the names of the numbers, 0 left out, by which predictions can be compared with label files as they are.

    Of a plan with regions, their values; raises UserError unless each is the label number of the one class that is in
    its region and in no later one, as in BraTS.
    """
    if not plan.regions:
        return {number: name for number, name in _plan_names(plan).items() if number != 0}
    for index, region in enumerate(plan.regions):
        rest = set(region.classes).difference(*(later.classes for later in plan.regions[index + 1 :]))
        if [plan.label_values[place] for place in rest] != [region.value]:
            raise UserError(
                f"region {region.name}: its value {region.value} is not the label of what later regions leave of it, "
                "so predictions cannot be compared with label files; correct regions in the config"
            )
    return {region.value: region.name for region in plan.regions}


def _plan_names(plan: Plan) -> dict[int, str]:
    return dict(zip(plan.label_values, plan.classes, strict=True))


def _model_plan(predictions: Path) -> Plan | None:
    """The plan of the model folder that holds the folder of predictions, if it is one."""
    for model in homes(predictions):
        if (model / PLAN_NAME).is_file():
            return read_plan(model, "train the model again")
    return None


def homes(folder: Path) -> list[Path]:
    """Returns the folders one up: of a link to a folder that of the link, then that of the folder."""
    return [folder.parent.resolve(), folder.resolve().parent] if folder.is_symlink() else [folder.resolve().parent]
