"""What the command line and the config come to."""

import math

import pytest

from nnunet_tf.runtime.command_line import CommandParser
from nnunet_tf.training.options import add_training_options, training_settings


@pytest.fixture
def settings(small_config):
    def parse(*words, gpus=1, dim=3, elastic=False):
        parser = CommandParser("")
        add_training_options(parser)
        options = parser.parse_args(words)
        options.fold, options.nfolds, options.amp, options.gpus, options.dim = 0, 5, False, gpus, dim
        options.elastic = elastic
        return training_settings(options, small_config)

    return parse


def test_the_config_speaks_where_the_command_line_does_not(settings, small_config):
    defaults = small_config.training
    result = settings()
    assert (result.epochs, result.steps_per_epoch) == (defaults.epochs, defaults.steps_per_epoch)
    assert (result.batch_size, result.optimizer.learning_rate) == (defaults.batch_size_3d, defaults.learning_rate)
    assert settings("--epochs", "7").epochs == 7
    assert result.augmentation == defaults.augmentation == "full"
    assert settings("--augmentation", "none").augmentation == "none"
    assert settings(dim=2).batch_size == defaults.batch_size_2d


def test_an_epoch_is_shared_out_among_the_workers(settings):
    assert settings(gpus=2).steps_per_epoch == 2  # of three
    assert settings("--steps-per-epoch", "3", gpus=2).steps_per_epoch == 3


def test_an_epoch_has_as_many_patches_with_any_number_of_workers(settings):
    planned = settings("--steps-per-epoch", "10", gpus=4, elastic=True)
    assert [planned.steps_left(size) for size in (1, 2, 3, 4, 8)] == [40, 20, 14, 10, 5]
    assert planned.steps_left(2, worker_steps=4 * 7) == 6
    assert planned.steps_left(3, worker_steps=40) == 0
    assert planned.batches(2).steps_per_epoch == 20


def test_the_learning_rate_follows_the_global_batch_unless_it_is_given(settings, small_config):
    alone = small_config.training.learning_rate
    assert settings(gpus=4).optimizer.learning_rate == pytest.approx(2 * alone)
    assert settings("--optimizer", "sgd").optimizer.learning_rate == 0.01
    assert settings("--optimizer", "sgd", gpus=4).optimizer.learning_rate == pytest.approx(0.04)
    assert settings("--optimizer", "adam", gpus=2).optimizer.learning_rate == pytest.approx(3e-4 * math.sqrt(2))
    assert settings("--learning-rate", "0.5", gpus=4).optimizer.learning_rate == 0.5


def test_dice_is_over_the_batch_in_2d_only_unless_asked_for(settings):
    assert not settings().loss.batch_dice
    assert settings(dim=2).loss.batch_dice
    assert settings("--batch-dice").loss.batch_dice
    assert not settings("--no-batch-dice", dim=2).loss.batch_dice


@pytest.mark.parametrize("words", [("--ema", "1"), ("--negative-slope", "-0.1"), ("--norm", "layer"), ("--nvol", "0")])
def test_values_out_of_range_are_refused(settings, words, capsys):
    with pytest.raises(SystemExit) as ended:
        settings(*words)
    assert ended.value.code == 2
    assert words[0] in capsys.readouterr().err
