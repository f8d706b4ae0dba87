"""The options of benchmark.py, and the settings that they, the config and the machine come to."""

import argparse
from typing import TYPE_CHECKING, Literal, get_args

from data_preprocessing.common.script import user_path
from nnunet_tf.choices import Augmentation, BenchmarkMode, DataSource
from nnunet_tf.commands.options.network import add_network_options, network_settings
from nnunet_tf.commands.parser import CommandParser
from nnunet_tf.commands.types import positive_int, whole_number

if TYPE_CHECKING:
    from data_preprocessing.planning.plan import Plan
    from nnunet_tf.benchmark.settings import BenchmarkSettings
    from nnunet_tf.runtime.device import Runtime


# Channels and classes of task 01, of which NVIDIA's tables are.
CHANNELS = 4
CLASSES = 4
WARMUP_STEPS = {"gpu": 100, "cpu": 2}
STEPS = {"gpu": 200, "cpu": 5}


def add_benchmark_options(parser: CommandParser) -> None:
    """Adds everything there is to say about a measurement."""
    _add_subject(parser.add_argument_group("what is measured"))
    _add_network(parser.add_argument_group("network"))
    _add_measurement(parser.add_argument_group("measurement"))


def _add_subject(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--mode",
        choices=get_args(BenchmarkMode),
        default="train",
        help="a training step, or the forward pass of prediction",
    )
    add("--gpus", type=positive_int, default=1, help="workers; with --device cpu, processes on the CPU")
    add("--batch-size", type=positive_int, help="patches a step and worker; else the config says")
    add("--xla", action="store_true", help="compile the network with XLA; on a GPU only")
    add("--data", choices=get_args(DataSource), default="synthetic", help="noise made once, or patches of real shards")
    add("--augmentation", choices=get_args(Augmentation), default="full", help="of shards, in training")


def _add_network(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--patch-size", type=positive_int, nargs="+", metavar="N", help="z y x, in 2D y x; else the config says")
    add("--features", type=positive_int, nargs="+", metavar="N", help="channels a stage; else the config says")
    add("--channels", type=positive_int, help=f"of synthetic images; else {CHANNELS}, as task 01 has")
    add("--classes", type=positive_int, help=f"of synthetic labels, with the background; else {CLASSES}")
    add_network_options(group)


def _add_measurement(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--warmup", type=whole_number, help=f"steps before; else {WARMUP_STEPS['gpu']}, on a CPU {WARMUP_STEPS['cpu']}")
    add("--steps", type=positive_int, help=f"steps measured; else {STEPS['gpu']}, on a CPU {STEPS['cpu']}")
    add("--roofline", action="store_true", help="also: how fast the step could be at this machine's measured rates")
    add("--json", metavar="FILE", help="append the report to FILE as one line of JSON; -: print it, last")
    add("--compare", type=user_path, metavar="FILE", help="also: ratios to the last report of this kind in FILE")


def benchmark_settings(options: argparse.Namespace, plan: "Plan", runtime: "Runtime") -> "BenchmarkSettings":
    """Returns the settings of a measurement with the network of `plan` on the device of `runtime`.

    Raises UserError where options do not fit the network.
    """
    from nnunet_tf.benchmark.settings import BenchmarkSettings
    from nnunet_tf.training.config.recipes import training_defaults

    network = network_settings(options, plan.training.network)
    supervised = options.mode == "train" and network.network == "nnunet"
    trains, synthetic = options.mode == "train", options.data == "synthetic"
    device: Literal["cpu", "gpu"] = "gpu" if runtime.gpu else "cpu"
    return BenchmarkSettings(
        mode=options.mode,
        dim=options.dim,
        task=plan.task,
        device=device,
        workers=options.gpus,
        batch_size=options.batch_size or training_defaults(plan.training, network.network).batch_size(options.dim),
        precision=runtime.precision,
        xla=options.xla,
        data=options.data,
        augmentation=None if synthetic else (options.augmentation if trains else "none"),
        patch_size=plan.patch_size,
        channels=len(plan.channels),
        outputs=plan.outputs,
        features=plan.topology.features,
        network=network.model_copy(update={"deep_supervision": supervised}),
        warmup_steps=WARMUP_STEPS[device] if options.warmup is None else options.warmup,
        steps=options.steps or STEPS[device],
    )
