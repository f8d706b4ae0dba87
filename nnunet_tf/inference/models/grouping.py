"""The models that predict together: gathered from where the user says, grouped by what is averaged."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from data_preprocessing.common.defaults import AXES
from data_preprocessing.common.errors import UserError
from nnunet_tf.choices import FoldName
from nnunet_tf.inference.models.folder import Checkpoint, ModelFiles, open_models
from nnunet_tf.inference.postprocessing.settings import Postprocessing

ModelSource = str | Path | ModelFiles

# Of a plan, what has no part in how an image is prepared, cut into windows and labelled.
OF_TRAINING = {"format", "task", "dataset", "topology", "training", "config_hash"}


def gather(
    models: ModelSource | Sequence[ModelSource],
    folds: Sequence[FoldName] | None = None,
    checkpoint: Checkpoint = "best",
) -> list[ModelFiles]:
    """Returns the files of one or several models, one entry a network: `open_models` of each path.

    Raises UserError as that does.
    """
    sources = [models] if isinstance(models, str | Path | ModelFiles) else list(models)
    if not sources:
        raise UserError("no model is named; give at least one")
    files: list[ModelFiles] = []
    for source in sources:
        files += [source] if isinstance(source, ModelFiles) else open_models(Path(source), folds, checkpoint)
    return files


def configurations(files: Sequence[ModelFiles]) -> list[list[ModelFiles]]:
    """Returns the models in groups that prepare an image alike and see the same windows.

    Within a group, usually the folds of one configuration, logits can be averaged.
    """
    groups: dict[str, list[ModelFiles]] = {}
    for each in files:
        groups.setdefault(_preparation(each), []).append(each)
    return list(groups.values())


def common_postprocessing(files: Sequence[ModelFiles]) -> Postprocessing | None:
    """Returns the postprocessing that all models share, and warns where they were given different ones.

    What was decided on one model's own predictions says nothing about the average of several.
    """
    first = files[0].postprocessing
    if all(each.postprocessing == first for each in files):
        return first
    warnings.warn(
        f"{files[0].folder} and others have different postprocessing: none is applied; "
        "find one for them together with evaluate.py --find-postprocessing",
        stacklevel=2,
    )
    return None


def learnt_flips(files: Sequence[ModelFiles]) -> str:
    """Returns the axes, such as "zy", along which every model has learnt mirror images; warns where there is none."""
    axes = "".join(axis for axis in AXES if all(axis in each.network.mirror_axes for each in files))
    if not axes:
        warnings.warn(
            f"{files[0].folder}: trained without mirroring, so --tta has nothing to average over; "
            "leave it out, or name axes with --tta-axes",
            stacklevel=2,
        )
    return axes


def _preparation(files: ModelFiles) -> str:
    plan = files.plan
    return f"{plan.model_dump_json(exclude=OF_TRAINING)} {files.network.input_size(plan.patch_size)}"
