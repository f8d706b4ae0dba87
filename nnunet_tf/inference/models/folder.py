"""The files of trained models: where they are, and what they were built for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zipfile import is_zipfile

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import read_model
from data_preprocessing.images.nifti_file import nifti_suffix
from data_preprocessing.planning.plan import PLAN_NAME, Plan, read_plan
from nnunet_tf.choices import FoldName
from nnunet_tf.inference.models.manifest import MODEL_MANIFEST_NAME, check_model_files
from nnunet_tf.inference.models.package_file import PACKAGE_SUFFIX, unpack_package
from nnunet_tf.inference.postprocessing.settings import (
    FIND_AGAIN,
    POSTPROCESSING_NAME,
    Postprocessing,
    read_postprocessing,
)
from nnunet_tf.networks.settings import NetworkSettings

WEIGHTS_NAME = "model.weights.h5"  # of the best validated epoch
LAST_WEIGHTS_NAME = "last.weights.h5"  # of the last epoch
NETWORK_NAME = "network.json"
VALIDATION_NAME = "validation.json"  # scores of the best and the last epoch
VALIDATION_PICTURE_NAME = "validation.png"  # the first case of the latest validation
RANGES_NAME = "ranges.json"  # what training cases have, for flags
PREDICTIONS_NAME = "predictions"  # what predict.py writes there unless told where

MODEL_NAMES = (PLAN_NAME, NETWORK_NAME, WEIGHTS_NAME)  # what prediction cannot do without
PACKAGED = re.compile(
    f"(fold_([0-9]+|all)/)?({'|'.join(map(re.escape, (*MODEL_NAMES, POSTPROCESSING_NAME, RANGES_NAME)))})"
)

REMEDY = "train one with train.py, or name another with --model"
DAMAGED = "copy the model again, train one with train.py, or name another with --model"

CHANGED = f"{DAMAGED}; to take the files as they are, remove {MODEL_MANIFEST_NAME}"

Checkpoint = Literal["best", "last"]


@dataclass(frozen=True)
class ModelFiles:
    """One model: `weights` is a file of `folder`; `postprocessing` is None where none was found on validation."""

    plan: Plan
    network: NetworkSettings
    weights: Path
    postprocessing: Postprocessing | None
    folder: Path


def open_models(
    path: Path, folds: Sequence[FoldName] | None = None, checkpoint: Checkpoint = "best"
) -> list[ModelFiles]:
    """Returns the models at `path`: a model's folder, a folder of folds, or a package of either; one entry a fold.

    Without `folds`, all that are numbered, or `fold_all` where none is. A package is checked and unpacked into a
    temporary folder that is removed when the process ends. Of several folds, each entry has the postprocessing kept
    beside their folders; of one fold, its own or else that one.

    Raises UserError, naming the file, where a model is missing or incomplete, or a package is damaged.
    """
    packed = path.is_file()
    if packed and path.suffix != PACKAGE_SUFFIX and not is_zipfile(path):
        kind = "looks like a scan, which --input is for" if nifti_suffix(path) else "is no model package"
        raise UserError(f"{path}: {kind}; give --model a model's folder or a package of python -m nnunet_tf.package")
    if packed and checkpoint == "last":
        raise UserError(f"{path}: packages hold the weights of the best epoch alone; leave out --checkpoint last")
    folders = _chosen_folders(path, unpack_package(path, PACKAGED) if packed else path, folds)
    beside = read_postprocessing(folders[0].parent) if is_fold(folders[0]) else None
    weights = WEIGHTS_NAME if checkpoint == "best" else LAST_WEIGHTS_NAME
    models = []
    for folder in folders:
        own = read_postprocessing(folder) if len(folders) == 1 else None
        plan = read_model_plan(folder, weights)
        network = read_network_settings(folder, plan)
        _check_postprocessing(folder if own else folder.parent, own or beside, plan)
        models.append(ModelFiles(plan, network, folder / weights, own or beside, folder))
    return models


def model_folder(results: Path, name: str, fold: FoldName) -> Path:
    """Returns the folder of one model, such as `results/task04_3d/fold_0`."""
    return results / name / f"fold_{fold}"


def is_fold(folder: Path) -> bool:
    """Returns whether a folder is named as that of a fold."""
    return re.fullmatch(r"fold_([0-9]+|all)", folder.name) is not None


def read_model_plan(folder: Path, weights: str = WEIGHTS_NAME, remedy: str = REMEDY) -> Plan:
    """Returns the plan of a trained model; raises UserError, ending in `remedy`, when the folder has no `weights`.

    And where plan, network or weights are not those that the model's manifest lists.
    """
    for path in (folder, folder / weights):
        if not path.exists():
            raise UserError(f"{path}: there is no trained model; {remedy}")
    plan = read_plan(folder, DAMAGED)
    present = [name for name in (PLAN_NAME, NETWORK_NAME, weights) if (folder / name).exists()]
    check_model_files(folder, present, CHANGED)
    return plan


def read_network_settings(folder: Path, plan: Plan) -> NetworkSettings:
    """Returns what the network of `plan` was built with; raises UserError when the folder has nothing that fits it."""
    settings = read_model(folder / NETWORK_NAME, NetworkSettings, DAMAGED)
    if settings.network != "nnunet" and plan.dim != 2:
        raise UserError(
            f"{folder / NETWORK_NAME}: network: {settings.network} sees images, and {PLAN_NAME} is that of a 3D "
            f"network; {DAMAGED}"
        )
    return settings


def _check_postprocessing(folder: Path, postprocessing: Postprocessing | None, plan: Plan) -> None:
    """Raises UserError where the postprocessing kept in `folder` is of labels that the plan's models do not predict."""
    numbers = [region.value for region in plan.regions] or plan.label_values[1:]
    unknown = sorted(set(postprocessing.keep_largest) - set(numbers)) if postprocessing else []
    if unknown:
        raise UserError(
            f"{folder / POSTPROCESSING_NAME}: keep_largest: the model predicts no label {unknown[0]}, only "
            f"{', '.join(map(str, numbers))}; {FIND_AGAIN}"
        )


def fold_folders(home: Path) -> list[Path]:
    """Returns the folders `fold_0`, `fold_1`, ... in `home`, by number; not `fold_all`."""
    found = [folder for folder in home.glob("fold_*") if folder.is_dir() and is_fold(folder)]
    return sorted((folder for folder in found if folder.name != "fold_all"), key=lambda folder: int(folder.name[5:]))


def _chosen_folders(path: Path, home: Path, folds: Sequence[FoldName] | None) -> list[Path]:
    """The folders to read in `home`, where what the user calls `path` lies."""
    numbered = [folder.name for folder in fold_folders(home)]
    found = {name: home / name for name in (*numbered, "fold_all") if (home / name).is_dir()}
    wanted = None if folds is None else [f"fold_{fold}" for fold in dict.fromkeys(folds)]
    if not found:
        if wanted not in (None, [home.name]):
            raise UserError(f"{path}: holds one model and no folds; leave out --fold, or name the folder of its folds")
        return [home]
    if wanted is None:
        wanted = numbered or ["fold_all"]
    for name in wanted:
        if name not in found:
            there = ", ".join(sorted(each.removeprefix("fold_") for each in found))
            raise UserError(
                f"{path / name}: there is no trained model, only of fold {there}; train it, or change --fold"
            )
    return [found[name] for name in wanted]
