"""Write what a folder of predictions needs to explain itself: class names, colors, color tables for viewers."""

import re
import warnings
from collections.abc import Collection
from pathlib import Path

from data_preprocessing.common.colors import rgb
from data_preprocessing.common.files import write_model, write_text
from data_preprocessing.planning.plan import Plan
from nnunet_tf.evaluation.scoring.described_folder import (
    DESCRIPTION_NAME,
    DescribedStructure,
    FolderDescription,
    colors_of,
    is_description,
)
from nnunet_tf.evaluation.scoring.structures import Structure, class_structures, region_structures
from nnunet_tf.inference.cases.outputs import prediction_names

SNAP_NAME, SLICER_NAME = "labels_itksnap.txt", "labels_slicer.ctbl"


def predicted_structures(plan: Plan, chosen: Collection[int] | None = None) -> list[Structure]:
    """Returns the structures in predictions of a model, the `chosen` label numbers among them only.

    Regions as unions of the numbers painted, where these tell which voxels lie in a region; else one per number.
    """
    found = region_structures(plan) if plan.regions else None
    structures = found or class_structures(prediction_names(plan))
    return [each for each in structures.scored if chosen is None or each.value in chosen]


def describe(plan: Plan, chosen: Collection[int] | None = None) -> FolderDescription:
    """Returns the description of a folder of predictions, the `chosen` label numbers only where some are."""
    names = prediction_names(plan)
    labels = {number: name for number, name in names.items() if not number or chosen is None or number in chosen}
    true = dict(zip(plan.label_values, plan.classes, strict=True))
    regions = bool(plan.regions) and region_structures(plan) is not None
    if plan.regions:  # a region may hold voxels of any number painted
        labels = names
    return FolderDescription(
        name=plan.dataset,
        channel_names={str(index): name for index, name in enumerate(plan.channels)},
        labels=labels,
        colors={number: color for number, color in colors_of(names).items() if number in labels},
        structures=[
            DescribedStructure(name=each.name, value=each.value, predicted=each.predicted, true=each.true)
            for each in predicted_structures(plan, chosen)
        ],
        true_labels=true if regions or chosen is not None else None,
    )


def write_description(folder: Path, description: FolderDescription) -> None:
    """Writes dataset.json and the color tables into `folder`; warns where a data set's own dataset.json is there."""
    path = folder / DESCRIPTION_NAME
    if path.exists() and not is_description(path):
        warnings.warn(f"{path}: is there already and is kept; the names of the classes are in run.json", stacklevel=2)
    else:
        write_model(path, description)
    write_text(folder / SNAP_NAME, snap_table(description))
    write_text(folder / SLICER_NAME, slicer_table(description))


def snap_table(description: FolderDescription) -> str:
    """Returns ITK-SNAP's label description: number, red, green, blue, opacity, visibility, visible mesh, name."""
    lines = ["# ITK-SNAP label descriptions: IDX R G B A VIS MSH LABEL", '0 0 0 0 0 0 0 "Clear Label"']
    for number, color in description.colors.items():
        red, green, blue = rgb(color)
        name = description.labels[number].replace('"', "'")
        lines.append(f'{number} {red} {green} {blue} 1 1 1 "{_one_line(name)}"')
    return "\n".join(lines) + "\n"


def slicer_table(description: FolderDescription) -> str:
    """Returns Slicer's color table: number, name without blanks, red, green, blue, opacity."""
    lines = ["# Color table file", "0 Background 0 0 0 0"]
    for number, color in description.colors.items():
        red, green, blue = rgb(color)
        name = re.sub(r"\s+", "_", description.labels[number]) or "unnamed"
        lines.append(f"{number} {name} {red} {green} {blue} 255")
    return "\n".join(lines) + "\n"


def _one_line(name: str) -> str:
    return " ".join(name.split())
