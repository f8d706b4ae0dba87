import pytest

from nnunet_tf.launch.options import add_launch_options
from nnunet_tf.runtime.command_line import CommandParser
from nnunet_tf.training.options import add_training_options, training_settings
from nnunet_tf.training.resume import compared, differences, option_name


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
