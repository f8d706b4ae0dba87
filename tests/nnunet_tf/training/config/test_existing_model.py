"""A model is never replaced unless that is asked for, and then nothing of it is taken for the new one's."""

from dataclasses import replace

import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.planning.plan import write_plan
from nnunet_tf.data.folds import split
from nnunet_tf.inference.models.trained_cases import write_trained_cases
from nnunet_tf.training.config.existing_model import check_model_folder, clear_older_run
from nnunet_tf.training.config.settings import write_settings
from nnunet_tf.training.loop.cross_validation import check_folds, jobs_of_folds
from tests.nnunet_tf.training.loop.test_run import make_job

CASES = tuple("abcdefg")
MODEL_FILES = ("model.weights.h5", "last.weights.h5", "checkpoint.npz")


@pytest.fixture
def job(tmp_path):
    """A job of fold 0 of three, whose folder does not exist yet."""
    first = make_job(tmp_path, tmp_path / "unused", "unet", 1, folds=3)
    return replace(
        first,
        folder=tmp_path / "task91_2d" / "fold_0",
        fold=split(CASES, 0, 3),
        checksums={case: f"sum of {case}" for case in CASES},
    )


def finish(job, names=MODEL_FILES):
    """Leaves in the job's folder what a run leaves that is looked at before another begins."""
    job.folder.mkdir(parents=True, exist_ok=True)
    write_plan(job.folder, job.plan)
    write_settings(job.folder, job.settings)
    write_trained_cases(job.folder, job.cases)
    for name in names:
        (job.folder / name).write_bytes(b"")


@pytest.mark.parametrize("name", MODEL_FILES)
def test_a_model_finished_or_not_is_only_replaced_on_request(job, name):
    check_model_folder(job, resume=False, overwrite=False)
    job.folder.mkdir(parents=True)
    (job.folder / "notes.txt").write_text("of the user")
    check_model_folder(job, resume=False, overwrite=False)
    finish(job, [name])
    with pytest.raises(UserError, match="--overwrite") as refusal:
        check_model_folder(job, resume=False, overwrite=False)
    assert str(job.folder) in str(refusal.value)
    assert ("--resume" in str(refusal.value)) == (name == "checkpoint.npz")
    check_model_folder(job, resume=False, overwrite=True)


@pytest.mark.parametrize("fold", [0, 2])
def test_a_cross_validation_looks_at_all_folds_first(job, fold):
    jobs = jobs_of_folds(job, CASES)
    assert [each.settings.fold for each in jobs] == [0, 1, 2]
    assert sorted(case for each in jobs for case in each.fold.validation) == list(CASES)
    check_folds(jobs, resume=False, overwrite=False)
    finish(jobs[fold])
    with pytest.raises(UserError, match=f"fold_{fold}: .*--overwrite"):
        check_folds(jobs, resume=False, overwrite=False)
    check_folds(jobs, resume=False, overwrite=True)
    check_folds(jobs, resume=True, overwrite=False)


def test_a_cross_validation_is_not_mixed_with_folds_of_another_number(job):
    finish(jobs_of_folds(replace(job, settings=job.settings.model_copy(update={"folds": 4})), CASES)[3])
    for overwrite, resume in ((False, False), (True, False), (False, True)):
        with pytest.raises(UserError, match=r"fold_3: .*--nfolds 3"):
            check_folds(jobs_of_folds(job, CASES), resume, overwrite)


def test_a_cross_validation_does_not_go_on_over_a_model_that_cannot_be_resumed(job):
    jobs = jobs_of_folds(job, CASES)
    finish(jobs[1], ["model.weights.h5"])
    with pytest.raises(UserError, match=r"fold_1: .*--overwrite"):
        check_folds(jobs, resume=True, overwrite=False)


def test_a_cross_validation_goes_on_only_with_the_data_it_began_with(job):
    jobs = jobs_of_folds(job, CASES)
    finish(jobs[0])
    finish(jobs[1])
    grown = jobs_of_folds(replace(job, checksums=dict(job.checksums) | {"h": "sum of h"}), [*CASES, "h"])
    with pytest.raises(UserError, match=r"fold_0.*added: h"):
        check_folds(grown, resume=True, overwrite=False)
    changed = jobs_of_folds(replace(job, checksums=dict(job.checksums) | {"c": "another"}), CASES)
    with pytest.raises(UserError, match=r"fold_0.*changed: c"):
        check_folds(changed, resume=True, overwrite=False)


def test_a_cross_validation_begins_all_folds_from_the_same_weights(job):
    begun = replace(job, settings=job.settings.model_copy(update={"pretrained": "a"}))
    finish(jobs_of_folds(begun, CASES)[0])
    check_folds(jobs_of_folds(begun, CASES), resume=True, overwrite=False)
    with pytest.raises(UserError, match=r"fold_0.*--pretrained a"):
        check_folds(jobs_of_folds(job, CASES), resume=True, overwrite=False)
    for each in jobs_of_folds(begun, CASES):
        finish(each)
    check_folds(jobs_of_folds(job, CASES), resume=True, overwrite=False)


def test_what_an_older_model_predicted_and_what_was_found_of_all_folds_is_not_taken_for_the_new_ones(job):
    finish(job)
    (job.folder.parent / "postprocessing.json").write_text("{}")
    (job.folder.parent / "cross_validation.json").write_text("{}")
    for content in ("first", "second"):
        (job.folder / "predictions").mkdir()
        (job.folder / "predictions" / "scan.nii.gz").write_text(content)
        finish(job)
        clear_older_run(job.folder)
    assert not (job.folder / "predictions").exists()
    kept = sorted(path.read_text() for path in job.folder.glob("predictions*/scan.nii.gz"))
    assert kept == ["first", "second"]
    assert [path.name for path in job.folder.parent.iterdir()] == ["fold_0"]


def test_a_new_fold_leaves_what_was_found_of_the_others(job):
    job.folder.mkdir(parents=True)
    (job.folder.parent / "postprocessing.json").write_text("{}")
    (job.folder / "predictions").mkdir()
    clear_older_run(job.folder)
    assert (job.folder.parent / "postprocessing.json").exists()
    assert (job.folder / "predictions").exists()
