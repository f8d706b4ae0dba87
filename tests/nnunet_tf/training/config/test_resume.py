from dataclasses import replace

import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.planning.plan import write_plan
from nnunet_tf.commands.options.launch import add_launch_options
from nnunet_tf.commands.options.training import add_training_options, training_settings
from nnunet_tf.commands.parser import CommandParser
from nnunet_tf.data.folds import Fold
from nnunet_tf.inference.models.trained_cases import (
    TrainedCases,
    added_and_removed,
    validated_though_learnt,
    write_trained_cases,
)
from nnunet_tf.training.config.resume import check_resume, compared, differences, option_name
from nnunet_tf.training.config.settings import write_settings
from tests.nnunet_tf.training.loop.test_run import make_job


@pytest.fixture
def settings(small_config):
    def parse(*words):
        parser = CommandParser("")
        parser.add_task()
        parser.add_fold("")
        parser.add_folds()
        parser.add_device()
        add_launch_options(parser)
        add_training_options(parser)
        return training_settings(parser.parse_args(["--dim", "2", "--gpus", "1", *words]), small_config)

    return parse


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ("--network unet", "", ["--network was unet, is nnunet"]),
        ("--epochs 90", "--network tiny-unet", ["--network was nnunet, is tiny-unet"]),
        (
            "--deep-supervision",
            "--network unet --seed 3",
            ["--seed was 0, is 3", "--network was nnunet, is unet", "--deep-supervision was on, is off"],
        ),
        (
            "",
            "--optimizer sgd --loss dice_focal",
            ["--loss was dice_ce, is dice_focal", "--optimizer was adamw, is sgd"],
        ),
        ("--mirror-axes zy", "", ["--mirror-axes was zy, is zyx"]),
        ("--augmentation none", "", ["--augmentation was none, is full"]),
        ("--nvol 2", "--ema 0", ["--nvol was 2, is left out", "--ema was 0.998, is 0"]),
        ("--weight-decay 0.1", "--nfolds 3", ["--nfolds was 5, is 3", "--weight-decay was 0.1, is left out"]),
        ("--epochs 5", "--epochs 4 --amp", ["--amp was off, is on", "--epochs was 5, is 4"]),
        ("--epochs 5", "--epochs 6 --xla --patience 3", []),
        ("", "--pretrained a", ["--pretrained was left out, is a"]),
        ("--pretrained a", "--pretrained b", ["--pretrained was a, is b"]),
        ("--pretrained a", "--pretrained a", []),
        ("--pretrained a", "", []),
    ],
)
def test_what_the_user_must_change_is_told_and_nothing_that_follows_from_it(settings, before, now, told):
    assert sorted(differences(settings(*before.split()), settings(*now.split()))) == sorted(told)


def test_every_setting_that_may_be_told_is_an_option(settings):
    names = [option_name(name) for name in compared(settings())]
    assert len(names) > 20
    parser = CommandParser("")
    parser.add_fold("")
    parser.add_folds()
    parser.add_device()
    add_training_options(parser)
    assert {f"--{name}" for name in names} <= set(parser._option_string_actions)


@pytest.fixture
def begun(tmp_path):
    """A run of the cases a, b, c, validated on d, that can be resumed."""
    job = replace(
        make_job(tmp_path, tmp_path / "model", "unet", 2),
        fold=Fold(("a", "b", "c"), ("d",)),
        checksums={case: f"sum of {case}" for case in "abcdef"},
    )
    write_plan(job.folder, job.plan)
    write_settings(job.folder, job.settings)
    write_trained_cases(job.folder, job.cases)
    (job.folder / "checkpoint.npz").write_bytes(b"")
    return job


def test_the_same_cases_can_be_resumed(begun):
    check_resume(begun)
    check_resume(replace(begun, checksums=dict(begun.checksums) | {"e": "of no interest"}))


@pytest.mark.parametrize(
    ("training", "validation", "told"),
    [
        ("abc", "de", "added: e"),
        ("abcef", "d", "added: e, f"),
        ("ab", "d", "removed: c"),
        ("abc", "", "removed: d"),
        ("abe", "d", "added: e; removed: c"),
        ("abd", "c", "moved into the validation: c; moved out of the validation: d"),
    ],
)
def test_cases_that_came_went_or_moved_are_named(begun, training, validation, told):
    with pytest.raises(UserError, match=rf"cases.json: .*\({told}\)"):
        check_resume(replace(begun, fold=Fold(tuple(training), tuple(validation))))


def test_a_case_whose_shards_are_others_is_named(begun):
    with pytest.raises(UserError, match=r"\(changed: b, d\)"):
        check_resume(replace(begun, checksums=dict(begun.checksums) | {"b": "other", "d": "other"}))


def test_new_cases_are_named_even_where_they_make_another_plan(begun):
    grown = replace(
        begun, fold=Fold(("a", "b", "c", "e"), ("d",)), plan=begun.plan.model_copy(update={"config_hash": "x"})
    )
    with pytest.raises(UserError, match="added: e"):
        check_resume(grown)


def test_a_run_of_a_version_that_did_not_record_its_cases_is_refused_and_says_why(begun):
    (begun.folder / "cases.json").unlink()
    with pytest.raises(UserError, match=r"older version.*--overwrite"):
        check_resume(begun)


def test_many_cases_are_told_in_short():
    before, now = (TrainedCases(training=dict.fromkeys(names, ""), validation={}) for names in ("a", "abcdefghij"))
    assert added_and_removed(before, now) == ["added: b, c, d, e, f and 4 more"]


@pytest.mark.parametrize(
    ("dataset", "checksum_of_d", "learnt"),
    [("Task91_Tiny", "other", ["d"]), ("Task92_Other", "other", []), ("Task92_Other", "sum of d", ["d"])],
)
def test_validation_cases_that_a_pretrained_model_has_learnt_are_known(begun, dataset, checksum_of_d, learnt):
    source = replace(
        begun,
        fold=Fold(("c", "d"), ("a",)),
        plan=begun.plan.model_copy(update={"dataset": dataset}),
        checksums=dict(begun.checksums) | {"d": checksum_of_d},
    )
    write_plan(source.folder, source.plan)
    write_trained_cases(source.folder, source.cases)
    assert validated_though_learnt(source.folder, begun.plan.dataset, begun.cases) == learnt
    (source.folder / "cases.json").unlink()
    assert validated_though_learnt(source.folder, begun.plan.dataset, begun.cases) == []
