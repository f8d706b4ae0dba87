"""All folds of a cross-validation, one after another."""

import subprocess
import sys
from collections.abc import Sequence

from data_preprocessing.errors import UserError
from data_preprocessing.files import read_model, write_model
from nnunet_tf.evaluation.dice import Summary
from nnunet_tf.evaluation.folds import CrossValidation, over_folds
from nnunet_tf.inference.model_folder import VALIDATION_NAME, model_folder
from nnunet_tf.runtime.child import stopped_alike
from nnunet_tf.training.settings import CHECKPOINT_NAME, Job

CROSS_VALIDATION_NAME = "cross_validation.json"


def cross_validate(job: Job, command: Sequence[str], resume: bool, leads: bool = True) -> CrossValidation | None:
    """Runs `command` (train.py and its arguments) for every fold and returns their scores.

    Of several workers each runs it, and only the one that `leads` speaks, gathers the scores and returns something.

    Each fold is a process of its own and gives the model that it would give alone. With `resume`, finished folds are
    only read, an unfinished one goes on, and the others are begun. Writes `cross_validation.json` beside the folds'
    folders. Raises UserError when a fold fails; what is finished stays.
    """
    home = job.folder.parent
    summaries = []
    for fold in range(job.settings.folds):
        folder = model_folder(home.parent, home.name, fold)
        goes_on = resume and (folder / CHECKPOINT_NAME).is_file()
        options = ["--no-cross-validate", "--fold", str(fold), "--resume" if goes_on else "--no-resume"]
        if leads:
            print(f"\nFold {fold} of {job.settings.folds}", flush=True)
        with subprocess.Popen([sys.executable, *command, *options]) as process, stopped_alike(process):
            status = process.wait()
        if status:
            raise UserError(
                f"fold {fold} ended with status {status}, its last words stand above; "
                "mend that and go on with --cross-validate --resume"
            )
        if leads:
            summaries.append(read_model(folder / VALIDATION_NAME, Summary, "train that fold again"))
    if not leads:
        return None
    result = over_folds(summaries)
    write_model(home / CROSS_VALIDATION_NAME, result)
    return result
