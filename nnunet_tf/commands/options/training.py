"""The options of train.py, and the settings that they and the task's config come to."""

import argparse
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, get_args

from data_preprocessing.common.defaults import NO_AXES
from data_preprocessing.common.errors import UserError
from nnunet_tf.choices import Augmentation, Loss, NetworkName, OptimizerName, Scheduler
from nnunet_tf.commands.options.network import add_network_options, network_settings
from nnunet_tf.commands.parser import CommandParser
from nnunet_tf.commands.types import (
    axes_or_none,
    factor,
    non_negative_float,
    positive_float,
    positive_int,
    share,
    whole_number,
)

if TYPE_CHECKING:
    from data_preprocessing.common.task import TaskConfig, TrainingDefaults
    from nnunet_tf.training.config.loss_and_optimizer import OptimizerSettings
    from nnunet_tf.training.config.settings import TrainingSettings

EMA_DECAY = 0.998  # the last five hundred steps of one worker or so
# Where the optimiser is another than the network's own, which the configs' learning rates are for.
LEARNING_RATES: dict[OptimizerName, float] = {
    "sgd": 1e-2,  # nnU-Net (Nature Methods 2021, "Training")
    "adam": 3e-4,  # NVIDIA's nnU-Net for TensorFlow 2
    "adamw": 1e-3,  # the configs' unless they say otherwise
    "rmsprop": 1e-4,  # NVIDIA's UNet Industrial
    "lion": 1e-4,  # a tenth or so of AdamW's (Chen et al., Symbolic Discovery of Optimization Algorithms, 2023)
}
MOMENTUM = 0.99  # of SGD: nnU-Net
RMSPROP_MOMENTUM = 0.8  # NVIDIA's UNet Industrial
# Options that others would ignore without a word.
OF_OPTIMIZERS = {"momentum": ("sgd", "rmsprop"), "nesterov": ("sgd",)}
OF_SCHEDULERS = {"decay_rate": ("step", "exponential"), "decay_steps": ("step", "exponential")}


def add_training_options(parser: CommandParser) -> None:
    """Adds everything that says how to train, but not on what or where."""
    _add_length(parser.add_argument_group("length and batches"))
    _add_network(parser.add_argument_group("network"))
    _add_optimization(parser.add_argument_group("loss and optimiser"))
    _add_run(parser.add_argument_group("the run"))


def _add_length(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--epochs", type=positive_int, help="epochs; else the task config says")
    add(
        "--steps-per-epoch",
        type=positive_int,
        help="steps an epoch; else those of the config, shared out among the workers",
    )
    add("--batch-size", type=positive_int, help="patches a step and worker; else the config says")
    add("--augmentation", choices=get_args(Augmentation), help="random changes to patches; else the config says")
    add(
        "--mirror-axes",
        type=axes_or_none,
        metavar="AXES",
        help="mirror along these axes of the body, such as zy, which keeps left and right apart, or none; else the "
        "config says, or all",
    )
    add(
        "--read-roi",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="read only the patch's region of a shard (the default), or all of it",
    )
    add("--nvol", type=positive_int, help="2D: volumes that the slices of a batch come from; else one a slice")


def _add_network(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add_network_options(group)
    add("--negative-slope", type=share, default=0.01, help="of the leaky ReLU")
    add("--deep-supervision", action="store_true", help="train on coarser decoder levels too")


def _add_optimization(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--loss",
        choices=get_args(Loss),
        help="Dice with cross-entropy or with focal loss; adaptive: cross-entropy, then Dice; else dice_ce, of "
        "tiny-unet adaptive",
    )
    add(
        "--batch-dice",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="Dice over the batch as one; else in 2D only",
    )
    add("--include-background", action="store_true", help="count the background as a class in the Dice loss")
    add(
        "--optimizer",
        choices=get_args(OptimizerName),
        help="optimiser; else adamw, of unet adam, of tiny-unet rmsprop",
    )
    add(
        "--learning-rate",
        type=positive_float,
        help="highest learning rate, taken as it is; else the config's, or the optimiser's own, times the number of "
        "workers (SGD) or its root (the others)",
    )
    add("--weight-decay", type=non_negative_float, help="else the optimiser's own; never on norms and biases")
    add("--momentum", type=share, help=f"of SGD, else {MOMENTUM:g}; of RMSProp, else {RMSPROP_MOMENTUM:g}")
    add("--nesterov", action=argparse.BooleanOptionalAction, help="Nesterov's momentum, of SGD (default: yes)")
    add(
        "--scheduler",
        choices=get_args(Scheduler),
        help="course of the learning rate; else cosine, of unet none, of tiny-unet step",
    )
    add("--decay-rate", type=factor, help="step, exponential: factor on the rate; else 0.8")
    add(
        "--decay-steps",
        type=positive_int,
        help="step, exponential: steps between such factors; else 500, shared out among the workers",
    )
    add(
        "--warmup-steps",
        type=whole_number,
        help="steps of linear warm-up; else 100, at most a tenth of all, of unet and tiny-unet 0",
    )
    add(
        "--ema",
        type=share,
        metavar="DECAY",
        help="decay of the moving average of the weights, which is what is scored and saved; 0: the weights "
        f"themselves; else {EMA_DECAY:g} to the power of the number of workers",
    )


def _add_run(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--seed", type=int, default=0, help="of weights, batches and augmentation")
    add(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="go on from the last finished epoch, exactly as if there had been no stop",
    )
    add(
        "--overwrite",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="replace the model that an earlier run has left; without it, or --resume, such a folder is refused",
    )
    add("--pretrained", metavar="DIR", help="model folder to start from; its heads are left out")
    add("--validate-every", type=whole_number, help="epochs from one validation to the next, 0: only the last")
    add("--patience", type=positive_int, metavar="EPOCHS", help="stop at the first validation so long after the best")
    add("--xla", action="store_true", help="compile forward and backward with XLA; on a GPU only")
    add("--fp16-allreduce", action="store_true", help="send gradients between workers in float16")


def training_settings(options: argparse.Namespace, config: "TaskConfig") -> "TrainingSettings":
    """Returns the settings that the command line asks for; else the config's, else the network's recipe.

    Raises UserError where options do not fit the network.
    """
    from nnunet_tf.training.config.loss_and_optimizer import LossSettings
    from nnunet_tf.training.config.recipes import RECIPES, training_defaults
    from nnunet_tf.training.config.settings import TrainingSettings

    network = network_settings(options, config.training.network)
    recipe, defaults = RECIPES[network.network], training_defaults(config.training, network.network)
    augmentation = options.augmentation or defaults.augmentation
    mirror_axes = _mirror_axes(options.mirror_axes, augmentation, defaults.mirror_axes)
    shared_steps = math.ceil(defaults.steps_per_epoch / options.gpus)
    batch_dice = options.batch_dice if options.batch_dice is not None else options.dim == 2
    validate_every = defaults.validate_every if options.validate_every is None else options.validate_every
    return TrainingSettings(
        fold=options.fold,
        folds=options.nfolds,
        epochs=options.epochs or defaults.epochs,
        steps_per_epoch=options.steps_per_epoch or shared_steps,
        batch_size=options.batch_size or defaults.batch_size(options.dim),
        seed=options.seed,
        amp=options.amp,
        workers=options.gpus,
        network=network.model_copy(update={"mirror_axes": mirror_axes}),
        loss=LossSettings(
            loss=options.loss or recipe.loss, batch_dice=batch_dice, include_background=options.include_background
        ),
        optimizer=_optimizer_settings(options, network.network, defaults, shared_steps / defaults.steps_per_epoch),
        augmentation=augmentation,
        read_roi=options.read_roi,
        volumes=options.nvol,
        validate_every=validate_every,
        patience=options.patience,
        pretrained=options.pretrained,
        xla=options.xla,
        fp16_allreduce=options.fp16_allreduce,
        elastic=options.elastic,
    )


def _mirror_axes(chosen: str | None, augmentation: Augmentation, stated: str) -> str:
    if augmentation != "none":
        return chosen or stated
    if chosen not in (None, NO_AXES):
        raise UserError(f"--mirror-axes {chosen}: --augmentation none mirrors nothing; leave one of them out")
    return NO_AXES


def _optimizer_settings(
    options: argparse.Namespace, network: NetworkName, defaults: "TrainingDefaults", pace: float
) -> "OptimizerSettings":
    """Returns the optimiser's settings; `pace` is the steps of a run of all workers over those of one worker."""
    from nnunet_tf.training.config.loss_and_optimizer import DECAY_RATE, DECAY_STEPS, OptimizerSettings, rate_factor
    from nnunet_tf.training.config.recipes import RECIPES

    recipe = RECIPES[network]
    optimizer = options.optimizer or recipe.optimizer
    own = optimizer == recipe.optimizer
    scheduler = options.scheduler or recipe.scheduler
    _refuse_idle(options, OF_OPTIMIZERS, "optimizer", optimizer)
    _refuse_idle(options, OF_SCHEDULERS, "scheduler", scheduler)
    alone = defaults.learning_rate if own else LEARNING_RATES[optimizer]
    # Other schedules have no use for it, and must not differ by it when a run is resumed.
    decay_steps = max(1, round(DECAY_STEPS * pace)) if scheduler in OF_SCHEDULERS["decay_steps"] else DECAY_STEPS
    momentum = RMSPROP_MOMENTUM if optimizer == "rmsprop" else MOMENTUM
    return OptimizerSettings(
        optimizer=optimizer,
        learning_rate=options.learning_rate or alone * rate_factor(optimizer, options.gpus),
        weight_decay=recipe.weight_decay if own and options.weight_decay is None else options.weight_decay,
        momentum=momentum if options.momentum is None else options.momentum,
        nesterov=options.nesterov is not False,
        scheduler=scheduler,
        decay_rate=options.decay_rate or DECAY_RATE,
        decay_steps=options.decay_steps or decay_steps,
        warmup_steps=recipe.warmup_steps if options.warmup_steps is None else options.warmup_steps,
        ema=(EMA_DECAY**options.gpus if options.ema is None else options.ema) or None,
    )


def _refuse_idle(options: argparse.Namespace, users_of: Mapping[str, tuple[str, ...]], kind: str, chosen: str) -> None:
    """Raises UserError where an option is given that `chosen` makes no use of."""
    for name, users in users_of.items():
        if getattr(options, name) is not None and chosen not in users:
            raise UserError(
                f"--{name.replace('_', '-')}: it is of --{kind} {' and '.join(users)}, and this run's is {chosen}; "
                "leave it out"
            )
