"""Writing made-up data sets in the folders of the Medical Decathlon."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import write_json, writing

TEST_SHARE = 0.25
NUMBER = re.compile("[0-9]+")
PARTS = ("imagesTr", "labelsTr", "imagesTs", "labelsTs")


def write_cases(
    folder: Path, names: list[str], write_case: Callable[[int, Path, Path], None], description: Mapping[str, object]
) -> None:
    """Writes a data set: dataset.json, imagesTr, labelsTr, imagesTs and labelsTs.

    `write_case(index, image, label)` writes the two files of one case, which have the same of the `names`. The last
    quarter of the cases (at least one) are the test cases; their labels are written too, for scoring. `description` is
    what else dataset.json says, with the `name` of the data set. Raises UserError where `folder` holds other data.
    """
    _refuse_other_data(folder, description["name"], names)
    first_test = len(names) - max(1, round(len(names) * TEST_SHARE))
    _remove_older_cases(folder, {"Tr": names[:first_test], "Ts": names[first_test:]})
    for index, name in enumerate(names):
        split = "Tr" if index < first_test else "Ts"
        write_case(index, folder / f"images{split}" / name, folder / f"labels{split}" / name)
    training = [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names[:first_test]]
    test = [f"./imagesTs/{name}" for name in names[first_test:]]
    counts = {"numTraining": len(training), "numTest": len(test)}
    write_json(folder / "dataset.json", {**description, **counts, "training": training, "test": test})


def _remove_older_cases(folder: Path, kept: Mapping[str, Sequence[str]]) -> None:
    """Cases of an older data set of the same name that this one lacks: who reads the folder would count them."""
    kinds = {NUMBER.sub("", name) for names in kept.values() for name in names}
    for part in PARTS:
        for path in (folder / part).glob("[!.]*"):
            if NUMBER.sub("", path.name) in kinds and path.name not in kept[part[-2:]]:
                with writing(path):
                    path.unlink()


def _refuse_other_data(folder: Path, name: object, files: Sequence[str]) -> None:
    """A data set is written over one of its own name only, or over what a killed run has left of one."""
    path = folder / "dataset.json"
    if path.exists():
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            content = None
        is_own = isinstance(content, dict) and content.get("name") == name
    else:
        kinds = {NUMBER.sub("", file) for file in files}
        found = (path.name for part in PARTS for path in (folder / part).glob("[!.]*"))
        is_own = kinds.issuperset(NUMBER.sub("", name) for name in found)
    if not is_own:
        raise UserError(f"{folder}: holds another data set, which would be overwritten; name another folder")
