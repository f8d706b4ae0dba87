"""A model that is in a run's folder already: refused before the run begins, or cleared away where it is replaced."""

import itertools
from pathlib import Path

from data_preprocessing.common.errors import UserError
from nnunet_tf.inference.models.folder import (
    LAST_WEIGHTS_NAME,
    PREDICTIONS_NAME,
    VALIDATION_NAME,
    VALIDATION_PICTURE_NAME,
    WEIGHTS_NAME,
    is_fold,
)
from nnunet_tf.inference.postprocessing.settings import POSTPROCESSING_NAME
from nnunet_tf.training.config.resume import check_resume
from nnunet_tf.training.config.settings import CHECKPOINT_NAME, CROSS_VALIDATION_NAME, Job

OLDER_PREDICTIONS_NAME = f"{PREDICTIONS_NAME}_of_older_model"


def check_model_folder(job: Job, resume: bool, overwrite: bool) -> None:
    """Raises UserError where the folder holds a model that the run would replace unasked, or one it cannot resume."""
    if resume:
        check_resume(job)
    elif not overwrite:
        refuse_replacing(job.folder)


def refuse_replacing(folder: Path) -> None:
    """Raises UserError where a run, finished or not, has left a model in `folder`."""
    if not holds_model(folder):
        return
    resume = "Add --resume to train it further, or" if (folder / CHECKPOINT_NAME).exists() else "Add"
    raise UserError(f"{folder}: holds a model already. {resume} --overwrite to replace it, or name another --results")


def holds_model(folder: Path) -> bool:
    """Returns whether a run has finished an epoch in `folder`, or a model was copied there."""
    return any((folder / name).exists() for name in (WEIGHTS_NAME, LAST_WEIGHTS_NAME, CHECKPOINT_NAME))


def clear_older_run(folder: Path) -> None:
    """Removes what an older run has left in its model folder that a new one does not write at once.

    The checkpoint goes first: a run stopped here must not go on from the older one's. Where there was a model, its
    predictions are moved aside, and what was found out about all folds together, it among them, is removed.
    """
    replaces = holds_model(folder)
    for name in (CHECKPOINT_NAME, VALIDATION_NAME, VALIDATION_PICTURE_NAME, POSTPROCESSING_NAME):
        (folder / name).unlink(missing_ok=True)
    if not replaces:
        return
    if (folder / PREDICTIONS_NAME).exists():
        (folder / PREDICTIONS_NAME).rename(_unused(folder / OLDER_PREDICTIONS_NAME))
    if is_fold(folder):
        for name in (CROSS_VALIDATION_NAME, POSTPROCESSING_NAME):
            (folder.parent / name).unlink(missing_ok=True)


def _unused(path: Path) -> Path:
    """The path, or the first of it with `_2`, `_3`, ... that does not exist."""
    numbered = (path.with_name(f"{path.name}_{number}") for number in itertools.count(2))
    return next(each for each in itertools.chain([path], numbered) if not each.exists())
