"""What a run that goes on must have in common with its beginning."""

from collections.abc import Iterator

from pydantic import BaseModel

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.files import read_model
from data_preprocessing.planning.plan import read_plan
from nnunet_tf.inference.models.trained_cases import (
    CASES_NAME,
    added_and_removed,
    changed,
    moved,
    read_trained_cases,
)
from nnunet_tf.training.config.settings import CHECKPOINT_NAME, METHOD, SETTINGS_NAME, Job, TrainingSettings

START_OVER = "train without --resume but with --overwrite, which starts over"

# What a resumed run may do otherwise than before.
FREE_ON_RESUME = {
    "precision",
    "epochs",
    "workers",
    "validate_every",
    "patience",
    "read_roi",
    "xla",
    "fp16_allreduce",
    "pretrained",  # which `differences` looks at
    "elastic",
    "method",  # which `check_resume` looks at
}
# What is another by default where the first is another: with that put right, these are too.
OF_OPTIMIZER = {"learning_rate", "weight_decay", "momentum"}
OF_AUGMENTATION = {"mirror_axes"}
OF_NETWORK = OF_OPTIMIZER | {
    "steps_per_epoch",
    "batch_size",
    "augmentation",
    *OF_AUGMENTATION,
    "loss",
    "optimizer",
    "scheduler",
    "warmup_steps",
}
CONSEQUENCES = {"network": OF_NETWORK, "optimizer": OF_OPTIMIZER, "augmentation": OF_AUGMENTATION}
OPTION_NAMES = {"folds": "nfolds", "volumes": "nvol"}  # where they are not those of the settings


def check_resume(job: Job) -> None:
    """Raises UserError where the model folder holds no run to go on with, or one of other data, settings or method.

    More epochs are fine, and what else is in `FREE_ON_RESUME`. Of settings, the options to change are named; of data,
    the cases that came, went, changed or moved between training and validation.
    """
    if not (job.folder / CHECKPOINT_NAME).is_file():
        raise UserError(f"{job.folder / CHECKPOINT_NAME}: no such file; nothing to resume, train without --resume")
    remedy = START_OVER
    before = earlier_settings(job)
    if not (job.folder / CASES_NAME).is_file():
        raise UserError(
            f"{job.folder}: an older version began the run and did not record its cases in {CASES_NAME}; {remedy}"
        )
    cases_before, cases_now = read_trained_cases(job.folder, remedy), job.cases
    # First: in another data set the config's open numbers and the folds are others, too.
    _refuse_other_cases(job, added_and_removed(cases_before, cases_now))
    if read_plan(job.folder, remedy).config_hash != job.plan.config_hash:
        raise UserError(f"{job.folder}: the run used shards of another config; {remedy}")
    if before.stated_method != METHOD:
        raise UserError(
            f"{job.folder / SETTINGS_NAME}: the run is of another version of this program, which drew patches and "
            f"computed the loss or the best epoch in another way; {remedy}"
        )
    differing = differences(before, job.settings)
    if differing:
        raise UserError(
            f"{job.folder / SETTINGS_NAME}: the run had other settings ({'; '.join(differing)}); "
            f"give the same ones, or {remedy}"
        )
    _refuse_other_cases(job, [*changed(cases_before, cases_now), *moved(cases_before, cases_now)])


def _refuse_other_cases(job: Job, differing: list[str]) -> None:
    if differing:
        raise UserError(
            f"{job.folder / CASES_NAME}: the run had other cases than {job.shards} ({'; '.join(differing)}); "
            f"preprocess the same data as before, or {START_OVER}"
        )


def earlier_settings(job: Job) -> TrainingSettings:
    """Returns the settings that the run in the model folder has gone by so far."""
    return read_model(job.folder / SETTINGS_NAME, TrainingSettings, START_OVER)


def differences(before: TrainingSettings, now: TrainingSettings) -> list[str]:
    """Returns, in words, the options that a run cannot go on with; none that only follow from another one of them."""
    old, new = compared(before), compared(now)
    names = {name for name in old if old[name] != new[name]}
    follow = set().union(*(CONSEQUENCES[name] for name in names & CONSEQUENCES.keys()))
    told = [name for name in old if name in names - follow]
    lines = [f"--{option_name(name)} was {_in_words(name, old)}, is {_in_words(name, new)}" for name in told]
    if now.pretrained not in (None, before.pretrained):  # left out, the run goes on from what it was given
        lines.append(f"--pretrained was {before.pretrained or 'left out'}, is {now.pretrained}")
    if now.epochs < before.epochs and "network" not in names:  # which says how many where nobody does
        lines.append(f"--epochs was {before.epochs}, is {now.epochs}")
    return lines


def compared(settings: TrainingSettings) -> dict[str, object]:
    """Returns the settings that must not change, by name."""
    return dict(_flat(settings))


def option_name(setting: str) -> str:
    """Returns the option of train.py, without dashes in front, that a setting comes from."""
    return OPTION_NAMES.get(setting, setting.replace("_", "-"))


def _in_words(name: str, settings: dict[str, object]) -> str:
    value = settings[name]
    if value is None:
        return "0" if name == "ema" else "left out"
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _flat(settings: BaseModel) -> Iterator[tuple[str, object]]:
    for name, value in settings:
        if isinstance(value, BaseModel):
            yield from _flat(value)
        elif name not in FREE_ON_RESUME:
            yield name, value
