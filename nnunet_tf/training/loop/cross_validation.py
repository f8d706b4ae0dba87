"""All folds of a cross-validation, one after another."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import time_written, write_model
from data_preprocessing.common.stopping import child_environment
from data_preprocessing.dataset.splits import StatedFold
from nnunet_tf.data.folds import split
from nnunet_tf.evaluation.summaries.folds import CrossValidation, over_folds
from nnunet_tf.evaluation.summaries.validation_scores import read_validation
from nnunet_tf.inference.models.folder import fold_folders, model_folder
from nnunet_tf.runtime.child import stopped_alike
from nnunet_tf.training.config.existing_model import check_model_folder, holds_model, refuse_replacing
from nnunet_tf.training.config.resume import check_resume, earlier_settings
from nnunet_tf.training.config.settings import CHECKPOINT_NAME, CROSS_VALIDATION_NAME, Job

BEGUN_NAME = ".cross_validation_begun"  # there while one that began anew is unfinished; as old as its beginning


def jobs_of_folds(
    job: Job,
    cases: Sequence[str],
    groups: Mapping[str, str] | None = None,
    stated: Sequence[StatedFold] = (),
) -> list[Job]:
    """Returns `job` for each of the folds that its settings divide `cases` into, or of those `stated`."""
    home = job.folder.parent
    return [
        replace(
            job,
            folder=model_folder(home.parent, home.name, fold),
            fold=split(cases, fold, job.settings.folds, groups, stated),
            settings=job.settings.model_copy(update={"fold": fold}),
        )
        for fold in range(job.settings.folds)
    ]


def check_folds(jobs: Sequence[Job], resume: bool, overwrite: bool) -> None:
    """Raises UserError where a cross-validation of these folds cannot begin, or go on, all folds being looked at first.

    That is where one of them holds a model that would be replaced unasked, one to resume is of other data or settings,
    or a model beside them is of a fold that they do not have.
    """
    home = jobs[0].folder.parent
    folders = [job.folder for job in jobs]
    for folder in fold_folders(home):
        if folder not in folders and holds_model(folder):
            raise UserError(
                f"{folder}: holds a model of another number of folds than --nfolds {len(jobs)}; remove it, or name "
                "another --results"
            )
    begun = home / BEGUN_NAME
    for job in jobs:
        if not resume:
            check_model_folder(job, resume, overwrite)
        elif _is_of_this_one(job.folder / CHECKPOINT_NAME, begun):
            check_resume(job)
        elif not begun.exists():
            refuse_replacing(job.folder)
    if resume:
        _refuse_other_start([job for job in jobs if _is_of_this_one(job.folder / CHECKPOINT_NAME, begun)], jobs)


def _refuse_other_start(going_on: Sequence[Job], jobs: Sequence[Job]) -> None:
    """Raises UserError where folds are still to begin, and would not start from the weights that the others did."""
    for job in going_on if len(going_on) < len(jobs) else ():
        source = earlier_settings(job).pretrained
        if source != job.settings.pretrained:
            raise UserError(
                f"{job.folder}: the fold started from --pretrained {source}, and others are still to begin; give it "
                "again"
            )


def cross_validate(job: Job, command: Sequence[str], resume: bool, leads: bool = True) -> CrossValidation | None:
    """Runs `command` (train.py and its arguments) for every fold and returns their scores.

    Of several workers each runs it, and only the one that `leads` speaks, gathers the scores and returns something.

    Each fold is a process of its own and gives the model that it would give alone. With `resume`, finished folds are
    only read, an unfinished one goes on, and the others are begun, those among them that an earlier cross-validation
    has left. Writes `cross_validation.json` beside the folds' folders. Raises UserError when a fold fails; what is
    finished stays.
    """
    home = job.folder.parent
    begun, now = home / BEGUN_NAME, time.time_ns()
    summaries = []
    for fold in range(job.settings.folds):
        folder = model_folder(home.parent, home.name, fold)
        goes_on = resume and _is_of_this_one(folder / CHECKPOINT_NAME, begun)
        options = ["--no-cross-validate", "--fold", str(fold)]
        options += ["--no-overwrite", "--resume"] if goes_on else ["--overwrite", "--no-resume"]  # `check_folds` agreed
        if leads:
            print(f"\nFold {fold} of {job.settings.folds}", flush=True)
        try:
            words, environment = [sys.executable, *command, *options], child_environment()
            with subprocess.Popen(words, env=environment) as process, stopped_alike(process):
                status = process.wait()
        finally:
            # Not before the first epoch is kept: one that fails at once leaves an earlier cross-validation as it was.
            if leads and not resume and time_written(folder / CHECKPOINT_NAME) > now:
                begun.touch()
                os.utime(begun, ns=(now, now))
        if status:
            raise UserError(
                f"fold {fold} ended with status {status}, its last words stand above; "
                "mend that and go on with --cross-validate --resume"
            )
        if leads:
            summaries.append(read_validation(folder, "train that fold again"))
    if not leads:
        return None
    result = over_folds(summaries)
    write_model(home / CROSS_VALIDATION_NAME, result)
    begun.unlink(missing_ok=True)
    return result


def _is_of_this_one(checkpoint: Path, begun: Path) -> bool:
    """Whether there is a checkpoint, and no older one than the cross-validation that was `begun`, if any was."""
    return checkpoint.is_file() and time_written(checkpoint) >= time_written(begun)
