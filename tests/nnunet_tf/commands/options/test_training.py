"""What the command line and the config come to."""

import math

import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.common.task import TaskConfig, TrainingDefaults
from nnunet_tf.commands.options.training import add_training_options, training_settings
from nnunet_tf.commands.parser import CommandParser
from nnunet_tf.training.optimization.schedule import make_schedule


@pytest.fixture
def settings(small_config):
    def parse(*words, gpus=1, dim=3, config=small_config, elastic=False):
        parser = CommandParser("")
        add_training_options(parser)
        options = parser.parse_args(words)
        options.fold, options.nfolds, options.amp, options.gpus, options.dim = 0, 5, False, gpus, dim
        options.elastic = elastic
        return training_settings(options, config)

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


@pytest.mark.parametrize("scheduler", ["step", "exponential"])
@pytest.mark.parametrize("gpus", [1, 2, 3, 4, 5, 7, 8, 16])
def test_the_rate_ends_where_it_ends_with_one_worker(settings, small_config, scheduler, gpus):
    words = ("--network", "tiny-unet", "--scheduler", scheduler, "--learning-rate", "1")
    result = settings(*words, dim=2, config=bare(small_config), gpus=gpus)
    last = float(make_schedule(result.optimizer, result.steps)(result.steps - 1))
    assert last == pytest.approx(0.8**4 if scheduler == "step" else 0.8**5, rel=0.02)


def test_decay_steps_that_are_given_are_taken_as_they_are(settings):
    result = settings("--scheduler", "step", "--decay-steps", "40", gpus=4)
    assert result.optimizer.decay_steps == 40


@pytest.mark.parametrize("gpus", [1, 2, 8])
def test_the_average_looks_back_over_as_many_patches_with_any_number_of_workers(settings, gpus):
    assert settings(gpus=gpus).optimizer.ema == pytest.approx(0.998**gpus)
    assert settings("--ema", "0.9", gpus=gpus).optimizer.ema == 0.9
    assert settings("--ema", "0", gpus=gpus).optimizer.ema is None


def test_a_schedule_without_decay_steps_is_the_same_with_any_number_of_workers(settings):
    assert {settings(gpus=gpus).optimizer.decay_steps for gpus in (1, 2, 8)} == {500}


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


def test_the_axes_to_mirror_are_the_configs_unless_they_are_given(settings, small_config):
    stated = small_config.model_copy(
        update={"training": small_config.training.model_copy(update={"mirror_axes": "zy"})}
    )
    assert settings().network.mirror_axes == "zyx"
    assert settings(config=stated).network.mirror_axes == "zy"
    assert settings("--mirror-axes", "none", config=stated).network.mirror_axes == "none"
    assert settings("--mirror-axes", "xz", config=stated).network.mirror_axes == "zx"


def test_without_augmentation_nothing_is_mirrored(settings):
    for words in ([], ["--mirror-axes", "none"]):
        assert settings("--augmentation", "none", *words).network.mirror_axes == "none"
    with pytest.raises(UserError, match="--mirror-axes zy: --augmentation none mirrors nothing"):
        settings("--augmentation", "none", "--mirror-axes", "zy")


def bare(config, **training) -> TaskConfig:
    """The config with nothing said about training but this."""
    return config.model_copy(update={"training": TrainingDefaults(**training)})


def test_a_network_comes_with_its_recipe(settings, small_config):
    unet = settings("--network", "unet", dim=2, config=bare(small_config))
    assert unet.steps == 6400
    assert (unet.batch_size, unet.augmentation, unet.loss.loss) == (1, "crops", "dice_ce")
    adam = unet.optimizer
    assert (adam.optimizer, adam.learning_rate, adam.scheduler, adam.weight_decay) == ("adam", 1e-4, "none", 5e-4)
    tiny = settings(dim=2, config=bare(small_config, network="tiny-unet"))
    assert tiny.steps == 2500
    assert (tiny.batch_size, tiny.augmentation, tiny.loss.loss) == (16, "flips", "adaptive")
    rms = tiny.optimizer
    assert (rms.optimizer, rms.learning_rate, rms.momentum, rms.weight_decay) == ("rmsprop", 1e-4, 0.8, 1e-5)
    assert (rms.scheduler, rms.decay_rate, rms.decay_steps, rms.warmup(2500)) == ("step", 0.8, 500, 0)
    assert (unet.network.network, tiny.network.network) == ("unet", "tiny-unet")


def test_the_config_wins_over_the_recipe_and_the_command_line_over_both(settings, small_config):
    config = bare(small_config, network="tiny-unet", epochs=3, learning_rate=0.5, augmentation="none")
    result = settings(dim=2, config=config)
    assert (result.epochs, result.optimizer.learning_rate, result.augmentation) == (3, 0.5, "none")
    assert result.steps_per_epoch == 100
    words = ("--epochs", "2", "--loss", "dice_ce", "--scheduler", "poly", "--weight-decay", "0", "--momentum", "0.5")
    result = settings(*words, "--warmup-steps", "7", dim=2, config=config)
    assert (result.epochs, result.loss.loss, result.optimizer.scheduler) == (2, "dice_ce", "poly")
    assert (result.optimizer.weight_decay, result.optimizer.momentum, result.optimizer.warmup_steps) == (0, 0.5, 7)


def test_the_rate_of_a_config_is_for_its_own_network_and_that_networks_optimiser(settings, small_config):
    config = bare(small_config, network="tiny-unet", learning_rate=0.5)
    assert settings("--network", "unet", dim=2, config=config).optimizer.learning_rate == 1e-4
    assert settings("--network", "nnunet", dim=2, config=config).optimizer.learning_rate == 1e-3
    other = settings("--optimizer", "adam", dim=2, config=config).optimizer
    assert (other.learning_rate, other.weight_decay, other.momentum) == (3e-4, None, 0.99)


@pytest.mark.parametrize(
    ("words", "dim", "said"),
    [
        (("--network", "unet"), 3, "--network unet: sees images, not volumes; use --dim 2"),
        (("--network", "unet", "--deep-supervision"), 2, "--deep-supervision: is no option of --network unet"),
        (("--network", "tiny-unet", "--padding", "same"), 2, "--padding: is no option"),
        (("--network", "tiny-unet", "--norm", "batch"), 2, "--norm: is no option"),
        (("--width", "8"), 2, "--width: is no option of --network nnunet"),
    ],
)
def test_options_that_do_not_fit_the_network_are_refused(settings, words, dim, said):
    with pytest.raises(UserError, match=said):
        settings(*words, dim=dim)


def test_dice_is_over_the_batch_in_2d_only_unless_asked_for(settings):
    assert not settings().loss.batch_dice
    assert settings(dim=2).loss.batch_dice
    assert settings("--batch-dice").loss.batch_dice
    assert not settings("--no-batch-dice", dim=2).loss.batch_dice


@pytest.mark.parametrize(
    "words", [("--ema", "1"), ("--negative-slope", "-0.1"), ("--norm", "layer"), ("--nvol", "0"), ("--width", "1")]
)
def test_values_out_of_range_are_refused(settings, words):
    with pytest.raises(UserError) as refused_by:
        settings(*words)
    assert words[0] in str(refused_by.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--momentum", "0.9"],
            "--momentum: it is of --optimizer sgd and rmsprop, and this run's is adamw; leave it out",
        ),
        (
            ["--optimizer", "rmsprop", "--no-nesterov"],
            "--nesterov: it is of --optimizer sgd, and this run's is rmsprop",
        ),
        (["--decay-rate", "0.5"], "--decay-rate: it is of --scheduler step and exponential, and this run's is cosine"),
        (["--scheduler", "poly", "--decay-steps", "9"], "--decay-steps: it is of --scheduler step and exponential"),
    ],
)
def test_what_the_optimiser_or_the_schedule_would_ignore_is_refused(settings, words, message):
    with pytest.raises(UserError, match=message):
        settings(*words)


@pytest.mark.parametrize(("word", "nesterov"), [([], True), (["--nesterov"], True), (["--no-nesterov"], False)])
def test_nesterov_is_left_out_of_sgd_where_it_is_asked_for(settings, word, nesterov):
    assert settings("--optimizer", "sgd", *word).optimizer.nesterov is nesterov
