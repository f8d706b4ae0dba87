"""A raw data set folder of nnU-Net v2, whose cases a dataset.json is to list."""

import json
from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.dataset import read_json
from data_preprocessing.dataset.layouts.model import FoundCase, Layout
from data_preprocessing.dataset.nnunet_raw import load_nnunet_raw

SPLITS_NAME = "splits_final.json"


def find_nnunet(folder: Path) -> Layout:
    """Returns the training cases of a raw folder, with its labels, regions and, where it lies there, its splits.

    Raises UserError as `load_nnunet_raw` does.
    """
    dataset = load_nnunet_raw(folder)
    content = read_json(folder / "dataset.json")
    cases = tuple(FoundCase(case.name, case.images, case.label) for case in dataset.training)
    splits = folder / SPLITS_NAME
    try:
        folds = json.loads(splits.read_text(encoding="utf-8")) if splits.is_file() else ()
    except (OSError, ValueError) as error:
        raise UserError(f"{splits}: not valid JSON ({error}); correct or remove it") from None
    return Layout(
        "nnU-Net raw folder",
        cases,
        dataset.channels,
        {name: number for number, name in dataset.labels.items()} if dataset.regions is None else content["labels"],
        content.get("regions_class_order"),
        folds=folds,
    )
